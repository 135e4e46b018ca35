"""Requirements resolved by the real uv from the real package index, with packages of a few kilobytes."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from faas import artifacts
from faas.builds import folders, layers
from faas.core import errors
from faas.runtimes import bounds, children
from faas.runtimes.python import bytecode, installing, requirements, target

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = target.Target(python=PYTHON, machine=platform.machine())


def programs(seconds: float = 60) -> children.Programs:
    return children.Programs(children.Deadline("f", seconds), bounds.Bound(max_bytes=2**28, max_files=10_000))


def install(root: Path, text: str, runtime: target.Target = HERE, work: str = "work", **files: bytes) -> layers.Layer:
    source = root / "source"
    source.mkdir(exist_ok=True)
    (source / "requirements.txt").write_text(text)
    for name, content in files.items():
        (source / name).write_bytes(content)
    asked = installing.Packages(requirements.read(source, "requirements.txt"), source, runtime)
    return layers.Layers(folders.BuildFolders(root)).layer(asked, root / work, programs())


def test_requirements_are_installed_compiled_and_found_again(tmp_path: Path) -> None:
    first = install(tmp_path, "six==1.17.0  # a comment\n")
    assert (first.packages, first.cached) == (("six==1.17.0",), False)
    assert (first.folder / "six.py").is_file()
    assert len(list((first.folder / "__pycache__").glob("six.*.pyc"))) == 1
    again = install(tmp_path, "\n# another comment\nsix==1.17.0\n")
    assert (again.folder, again.cached) == (first.folder, True)
    assert install(tmp_path, "six==1.16.0\n").cached is False


def test_a_layer_is_the_same_wherever_and_whenever_it_is_made(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        layer = install(tmp_path / name, "idna==3.10\npygments==2.18.0\n", work=f"work-{name}")
        digests.append(artifacts.Artifacts(tmp_path / name).pack(layer.folder)[0])
        said = subprocess.run(["grep", "-rlE", f"{tmp_path}|{sys.prefix}", str(layer.folder)], capture_output=True)
        assert said.stdout == b""
    assert digests[0] == digests[1]


def test_wheels_are_those_of_the_runtime_and_not_of_this_machine(tmp_path: Path) -> None:
    other = target.Target(python="3.12", machine="aarch64", libc="musl")
    layer = install(tmp_path, "markupsafe==3.0.2\n", other)
    assert [path.name for path in layer.folder.rglob("*.so")] == ["_speedups.cpython-312-aarch64-linux-musl.so"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("faas-no-such-package-zzz==1", "the package index has no package faas-no-such-package-zzz"),
        ("six==99.0", "there is no version six==99.0"),
        ("docopt==0.6.2", "docopt==0.6.2 has no wheel for Python"),
        ("six==1.17.0 --hash=sha256:" + "0" * 64, "six==1.17.0 is not the file that its --hash names: what the index"),
        ("six[ == 3", "Expected"),
        ("https://localhost:1/x.whl", "wheel filename"),
    ],
)
def test_what_cannot_be_installed_is_told_with_its_line_and_leaves_nothing(
    tmp_path: Path, line: str, told: str
) -> None:
    with pytest.raises(errors.BuildFailed) as caught:
        install(tmp_path, f"# mine\n{line}\n")
    assert told in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert not (tmp_path / "cache/layers").exists() or list((tmp_path / "cache/layers").iterdir()) == []


def test_a_conflict_names_both_sides(tmp_path: Path) -> None:
    with pytest.raises(errors.BuildFailed, match=r"requirements\.txt:1: .*six==1\.17\.0 and six==1\.16\.0"):
        install(tmp_path, "six==1.17.0\nsix==1.16.0\n")


def test_a_wheel_of_the_source_folder_is_installed_and_its_content_counts(tmp_path: Path) -> None:
    def wheel(text: str) -> bytes:
        path = tmp_path / "made.whl"
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("mine.py", text)
            out.writestr("mine-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
            out.writestr("mine-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            out.writestr("mine-1.dist-info/RECORD", "")
        return path.read_bytes()

    name = "mine-1-py3-none-any.whl"
    first = install(tmp_path, f"./{name}\n", **{name: wheel("x = 1\n")})
    assert (first.folder / "mine.py").read_text() == "x = 1\n"
    second = install(tmp_path, f"./{name}\n", **{name: wheel("x = 2\n")})
    assert (second.folder / "mine.py").read_text() == "x = 2\n"
    assert not list(second.folder.rglob("direct_url.json"))


def test_a_uv_configuration_in_the_source_does_not_configure_the_builder(tmp_path: Path) -> None:
    evil = b'index-url = "https://localhost:1/simple"\n'
    layer = install(tmp_path, "six==1.17.0\n", **{"uv.toml": evil, "pyproject.toml": b"[tool.uv]\n" + evil})
    assert layer.packages == ("six==1.17.0",)


def test_a_module_that_does_not_compile_is_told_with_line_and_caret_and_the_others_compile(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("x = 1\n")
    (tmp_path / "bad.py").write_text("def handler(event context):\n    pass\n")
    (tmp_path / "nul.py").write_bytes(b"x = 1\0")
    (tmp_path / "deep.py").write_text("(" * 5000 + ")" * 5000)
    compiled = bytecode.compile_tree(tmp_path, PYTHON, programs())
    troubles = {trouble.file: trouble.text for trouble in compiled.troubles}
    assert sorted(troubles) == ["bad.py", "deep.py", "nul.py"]
    assert "/var/task/bad.py" in troubles["bad.py"]
    assert "line 1" in troubles["bad.py"]
    assert "^" in troubles["bad.py"]
    assert [path.name for path in (tmp_path / "__pycache__").iterdir()] == [
        f"good.cpython-{PYTHON.replace('.', '')}.pyc"
    ]


def test_bytecode_is_used_unchecked_by_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "mod.py").write_text("def f():\n    return 1\n")
    bytecode.compile_tree(tmp_path, PYTHON, programs())
    (tmp_path / "mod.py").write_text("raise SystemError('the source was read')\n")
    program = "import mod; print(mod.f(), mod.f.__code__.co_filename)"
    done = subprocess.run([sys.executable, "-B", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split()[0] == "1", done.stderr


def test_a_runtime_that_this_machine_cannot_compile_for_gets_source_only_and_a_note(tmp_path: Path) -> None:
    (tmp_path / "mod.py").write_text("x = 1\n")
    compiled = bytecode.compile_tree(tmp_path, "3.99", programs())
    assert "shipped as source" in compiled.note
    assert not (tmp_path / "__pycache__").exists()


def test_what_takes_longer_than_a_build_may_is_ended_and_told(tmp_path: Path) -> None:
    with pytest.raises(errors.BuildFailed, match=r"f: the build took longer than 0\.2 s"):
        programs(0.2).run(
            children.Program(command=[sys.executable, "-c", "import time; time.sleep(60)"], cwd=tmp_path, env={})
        )
