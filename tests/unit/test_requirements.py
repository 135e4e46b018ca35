from __future__ import annotations

import time
from pathlib import Path

import pytest

from faas.core import errors
from faas.runtimes.python import complaints, requirements, target

PYTHON = target.Target(python="3.11")


def read(folder: Path, text: str) -> requirements.Requirements:
    (folder / "requirements.txt").write_text(text)
    return requirements.read(folder, "requirements.txt")


def test_comments_blanks_and_continued_lines_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    asked = read(
        tmp_path, "# first\n\nsix==1.17.0  # pinned\nidna \\\n  >= 3 \\\n# in between\n\nflask#not-a-comment\n"
    )
    assert [(line.number, line.text.split()) for line in asked.lines] == [
        (3, ["six==1.17.0"]),
        (4, ["idna", ">=", "3"]),
        (8, ["flask#not-a-comment"]),
    ]


def test_included_files_and_constraints_are_read_with_their_own_lines(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/more.txt").write_text("\nidna\n-c bounds.txt\n-r ../requirements.txt\n")
    (tmp_path / "sub/bounds.txt").write_text("idna<4\n")
    asked = read(tmp_path, "six\n--requirement=sub/more.txt\n")
    assert [line.where for line in asked.lines] == ["requirements.txt:1", "sub/more.txt:2"]
    assert [line.text for line in asked.constraints] == ["idna<4"]


def test_options_that_only_choose_where_wheels_come_from_are_kept(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/a-1-py3-none-any.whl").write_bytes(b"")
    asked = read(
        tmp_path,
        "-i https://index.test/simple\n--extra-index-url=https://other.test\n-f wheels\n--pre\n--only-binary :all:\n"
        "--require-hashes\nsix==1 --hash=sha256:00\n",
    )
    assert asked.options == (
        "--index-url", "https://index.test/simple", "--extra-index-url", "https://other.test",
        "--find-links", "./wheels", "--prerelease=allow", "--require-hashes",
    )  # fmt: skip
    assert asked.wheels == ("wheels/a-1-py3-none-any.whl",)


@pytest.mark.parametrize(
    "line",
    [
        "--no-binary six",
        "--no-binary=:all:",
        "--only-binary :none:",
        "six --no-binary six",
        "-e .",
        "-e git+https://host.test/x",
        ".",
        "./folder",
        "git+https://host.test/x",
        "x @ git+https://host.test/x",
        "https://host.test/x-1.tar.gz",
        "x@https://host.test/x-1.zip#sha256=00",
        "file:///etc/x-1-py3-none-any.whl",
        "/etc/x-1-py3-none-any.whl",
        "../x-1-py3-none-any.whl",
        "x @ ../../x-1-py3-none-any.whl",
        "./absent-1-py3-none-any.whl",
        "file:/etc/x-1-py3-none-any.whl",
        "file:x-1-py3-none-any.whl",
        "FILE:/etc/x-1-py3-none-any.whl",
        "x @ file:/etc/x-1-py3-none-any.whl",
        "x@file:../x-1-py3-none-any.whl",
        "x[a] @ file:///etc/x-1-py3-none-any.whl",
        "path:/etc/x-1-py3-none-any.whl",
        "C:/x-1-py3-none-any.whl",
        "./%2e%2e/x-1-py3-none-any.whl",
        "x @ ./%2e%2e/x-1-py3-none-any.whl",
        "~/x-1-py3-none-any.whl",
        "..\\x-1-py3-none-any.whl",
        "folder/x",
        "folder:x",
        "x.TAR.GZ",
        "https://host.test/x-1-py3-none-any.whl /etc/y-1-py3-none-any.whl",
        "x @ https://host.test/x-1-py3-none-any.whl @ file:/etc/y-1-py3-none-any.whl",
        "-f ./%2e%2e",
        "-f file:/etc",
        "-r ../outside.txt",
        "-r /etc/passwd",
        "-r absent.txt",
        "-i https://index.test --no-binary six",
        "-i file:///etc",
        "-f /etc",
        "--find-links ../",
        "--config-settings x=y",
        "--index-url https://${FAAS_TOKEN}.test/",
        "six==${HOME}",
        "-",
        "--",
    ],
)
def test_what_could_run_code_or_read_the_builders_files_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    folder = tmp_path / "source"
    (folder / "%2e%2e").mkdir(parents=True)  # what uv would decode is there as it is written, so a look at it says yes
    (folder / "file:/etc").mkdir(parents=True)
    (folder / "~").mkdir()
    for name in ("%2e%2e/x", "file:/etc/x", "file:x", "~/x", "..\\x"):
        (folder / f"{name}-1-py3-none-any.whl").write_bytes(b"")
    (tmp_path / "outside.txt").write_text("six\n")
    with pytest.raises(errors.BuildFailed) as caught:
        read(folder, f"idna\n\n{line}\n")
    assert caught.value.message.startswith("requirements.txt:3: ")
    assert caught.value.data == {"file": "requirements.txt", "line": 3}


@pytest.mark.parametrize("separator", ["\r", "\x0b", "\x0c", "\x85", "\u2028", "\x1c"])
def test_no_odd_line_end_hides_an_option_from_us(tmp_path: Path, separator: str) -> None:
    with pytest.raises(errors.BuildFailed, match="--no-binary"):
        read(tmp_path, f"six{separator}--no-binary :all:\n")


def test_a_requirements_file_that_is_absent_or_not_text_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(errors.BuildFailed, match=r"there is no file requirements\.txt in the source"):
        requirements.read(tmp_path, "requirements.txt")
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.BuildFailed, match="is not UTF-8"):
        requirements.read(tmp_path, "requirements.txt")


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (
            "Because zzz-none was not found in the package registry and you require zzz-none==1, we can conclude",
            "requirements.txt:2: the package index has no package zzz-none",
        ),
        (
            "Because there is no version of six==99.0 and you require six==99.0, we can conclude that your"
            " requirements are unsatisfiable.",
            "requirements.txt:3: there is no version six==99.0",
        ),
        (
            "Because only six<=1.17.0 is available and you require six>=99, we can conclude that your requirements"
            " are unsatisfiable.",
            "requirements.txt:3: there is no version six>=99; there is six<=1.17.0",
        ),
        (
            "Because all versions of docopt have no usable wheels and you require docopt, we can conclude",
            "requirements.txt:4: docopt has no wheel for Python 3.11 on Linux x86_64 (glibc)",
        ),
        (
            "Because flask==3 depends on six>=2 and you require flask==3, we can conclude that you require six>=2."
            "\n         And because you require six==1, we can conclude that your requirements are unsatisfiable.",
            "requirements.txt:3: the requirements cannot be met together: Because flask==3 depends on six>=2 and you"
            " require flask==3, we can conclude that you require six>=2. And because you require six==1, we can"
            " conclude that your requirements are unsatisfiable.",
        ),
        (
            "Because flask==3 depends on six>=2 and you require six==1, we can conclude that your requirements are"
            "\n         unsatisfiable.",
            "requirements.txt:3: the requirements cannot be met together: flask==3 depends on six>=2 and you require"
            " six==1",
        ),
    ],
)
def test_the_resolvers_reason_becomes_one_line_with_the_place_it_stands_at(
    tmp_path: Path, cause: str, told: str
) -> None:
    asked = read(tmp_path, "# mine\nZZZ_none==1\nsix\ndocopt\n")
    said = f"Using CPython 3.11\nerror: No solution found when resolving dependencies\n  cause: {cause}\n"
    assert complaints.explain(said, asked, PYTHON).message == told


def test_wheels_for_other_pythons_are_named(tmp_path: Path) -> None:
    said = (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because tensorflow==2.3.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you"
        " require tensorflow==2.3, we can conclude that your requirements are unsatisfiable.\n\n"
        "hint: You require CPython 3.11 (`cp311`), but we only found wheels for `tensorflow` (v2.3.0) with the"
        " following Python ABI tags: `cp37m`, `cp38`\n"
    )
    error = complaints.explain(said, read(tmp_path, "tensorflow==2.3\n"), PYTHON)
    assert "requirements.txt:1: tensorflow==2.3.0 has no wheel for Python 3.11" in error.message
    assert "`cp37m`, `cp38`" in error.message


def test_an_index_that_cannot_be_reached_is_not_the_users_fault(tmp_path: Path) -> None:
    said = "error: Failed to fetch: https://x.test/\n  cause: dns error\n  cause: failed to lookup address\n"
    error = complaints.explain(said, read(tmp_path, "six\n"), PYTHON)
    assert isinstance(error, errors.Unavailable)
    assert error.message == "the package index cannot be reached: failed to lookup address"


def test_a_full_disk_is_told_as_such_and_no_path_of_the_builder_is_told(tmp_path: Path) -> None:
    asked = read(tmp_path, "six\n")
    full = "error: Failed to install\n  cause: failed to write: No space left on device (os error 28)\n"
    assert isinstance(complaints.explain(full, asked, PYTHON), errors.Unavailable)
    odd = complaints.explain("error: odd thing in /data/builds/1/x\n", asked, PYTHON, ("/data/builds/1",))
    assert odd.message == "requirements.txt: odd thing in x"


def test_silence_of_the_installer_is_told_too(tmp_path: Path) -> None:
    assert "said nothing" in complaints.explain("", read(tmp_path, "six\n"), PYTHON).message


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3_000, "a\0b", "loop", "folder"])
@pytest.mark.parametrize("line", ["-r {}", "-c {}", "-f ./{}", "./{}.whl", "a @ ./{}.whl"])
def test_a_name_that_no_file_can_have_is_one_clear_line(tmp_path: Path, line: str, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "loop.whl").symlink_to("loop.whl")
    (tmp_path / "folder.whl").mkdir()
    with pytest.raises(errors.BuildFailed) as caught:
        read(tmp_path, line.format(name) + "\n")
    assert caught.value.message.startswith("requirements.txt:1: ")


def test_a_line_of_a_hundred_thousand_blanks_takes_no_time(tmp_path: Path) -> None:
    blanks = " " * 100_000
    began_s = time.process_time()
    asked = read(tmp_path, f"six{blanks}>=1{blanks}x\n".replace("x\n", "\n") + f"idna{blanks}#{blanks}\n{blanks}\n")
    assert time.process_time() - began_s < 1
    assert [line.text for line in asked.lines] == ["six >=1", "idna"]
