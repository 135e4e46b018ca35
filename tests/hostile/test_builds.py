"""What a requirements file and the wheels that it names may try against the machine that builds them."""

from __future__ import annotations

import contextlib
import os
import platform
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from faas.builds import folders, layers
from faas.core import errors
from faas.runtimes import bounds, children
from faas.runtimes.python import installing, requirements, target
from tests import wheels

MB = 1024 * 1024
BOUND = bounds.Bound(max_bytes=32 * MB, max_files=2_000)
TARGET = target.Target(python=f"{sys.version_info.major}.{sys.version_info.minor}", machine=platform.machine())
WHEEL = "mine-1-py3-none-any.whl"
ZEROS = bytes(10 * MB)


def install(root: Path, text: str, files: dict[str, bytes] | None = None, seconds: float = 60) -> layers.Layer:
    source = root / "source"
    source.mkdir(exist_ok=True)
    (source / "requirements.txt").write_text(text)
    for name, content in (files or {}).items():
        (source / name).write_bytes(content)
    asked = installing.Packages(requirements.read(source, "requirements.txt"), source, TARGET)
    programs = children.Programs(children.Deadline("f", seconds), BOUND)
    return layers.Layers(folders.BuildFolders(root / "data")).layer(asked, root / "data/work", programs)


def left(root: Path) -> list[str]:
    """What a refused build left, which should be locks alone."""
    found = (path for path in (root / "data").rglob("*") if path.is_file())
    return [path.name for path in found if path.parent.name != "locks"]


@contextlib.contextmanager
def peak(folder: Path) -> Iterator[list[int]]:
    """The most bytes of the disk that a folder took, in a list of one."""
    most, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            most[0] = max(most[0], bounds.taken(folder, 2**40, 10**9).size)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


def test_a_wheel_of_the_source_that_says_how_large_it_is_is_not_unpacked_at_all(tmp_path: Path) -> None:
    bomb = wheels.wheel({f"z{number}.bin": ZEROS for number in range(20)})
    with peak(tmp_path / "data") as most, pytest.raises(errors.TooLarge, match=rf"{WHEEL} unpacks to 200\.0 MB"):
        install(tmp_path, f"./{WHEEL}\n", {WHEEL: bomb})
    assert most[0] < MB
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "files",
    [
        {f"z{number}.bin": ZEROS for number in range(40)},
        {"one.bin": bytes(400 * MB)},
        {"/".join(["deep"] * 50) + "/z.bin": bytes(200 * MB)},
        {f"f{number}.txt": b"" for number in range(30_000)},
        {f"d{number}/": b"" for number in range(30_000)},
    ],
    ids=["many files", "one file", "deep", "empty files", "empty folders"],
)
def test_a_wheel_of_an_index_is_stopped_while_it_unpacks_and_nothing_of_it_is_kept(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    with (
        wheels.index({WHEEL: wheels.wheel(files)}) as url,
        peak(tmp_path / "data") as most,
        pytest.raises(errors.TooLarge, match=r"a function may have 32\.0 MB in 2000 files"),
    ):
        install(tmp_path, f"--index-url {url}/simple\nmine\n")
    assert most[0] < 10 * BOUND.max_bytes
    assert left(tmp_path) == []


def test_many_wheels_that_are_each_small_enough_are_stopped_together(tmp_path: Path) -> None:
    held = {
        f"p{number}-1-py3-none-any.whl": wheels.wheel({f"p{number}.bin": ZEROS}, f"p{number}") for number in range(9)
    }
    with wheels.index(held) as url, pytest.raises(errors.TooLarge):
        install(tmp_path, f"--index-url {url}/simple\n" + "".join(f"p{number}\n" for number in range(9)))
    assert left(tmp_path) == []


def test_a_wheel_that_lies_about_its_size_is_stopped_all_the_same(tmp_path: Path) -> None:
    bomb = bytearray(wheels.wheel({"z.bin": bytes(200 * MB)}))
    real = struct.pack("<I", 200 * MB)
    while (at := bomb.find(real)) >= 0:
        bomb[at : at + 4] = struct.pack("<I", 100)
    with peak(tmp_path / "data") as most, pytest.raises((errors.TooLarge, errors.BuildFailed)):
        install(tmp_path, f"./{WHEEL}\n", {WHEEL: bytes(bomb)})
    assert most[0] < 5 * BOUND.max_bytes
    assert left(tmp_path) == []


def test_an_index_that_never_ends_its_answer_is_given_up(tmp_path: Path) -> None:
    with wheels.index({}, endless=True) as url, pytest.raises(errors.FaasError):
        install(tmp_path, f"--index-url {url}/simple\nmine\n", seconds=6)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "files",
    [
        {"bin/": b"", "bin/tool/": b"", "bin/tool/inner.py": b"x = 1\n"},
        {"bin/tool": b"#!/bin/sh\n"},
        {"bin": b"a file"},
        {".lock/": b"", ".lock/inner": b""},
        {"mine-1.dist-info/direct_url.json/inner": b""},
        {"other.dist-info": b"a file"},
        {"other-1.dist-info/RECORD/inner": b""},
        {"other-1.dist-info/RECORD": b"\xff\xfe", "other-1.dist-info/direct_url.json": b"{}"},
        {"other-1.dist-info/RECORD": b"x" * 200_000},
        {"mine.data/scripts/tool/inner": b""},
        {"mine-1.data/scripts/tool": b"#!python\n"},
        {"packages.txt": b"six==9\n", "files/x": b""},
        {"a\nb.py": b"x = 1\n"},
        {"caf\u00e9.py": b"x = 1\n", "__pycache__/mine.cpython-311.pyc": b"x"},
    ],
    ids=lambda files: next(iter(files)).encode("unicode_escape").decode(),
)
def test_a_wheel_with_odd_names_installs_or_is_refused_in_one_line(tmp_path: Path, files: dict[str, bytes]) -> None:
    try:
        layer = install(tmp_path, f"./{WHEEL}\n", {WHEEL: wheels.wheel({"mine.py": b"x = 1\n", **files})})
    except errors.BuildFailed as refused:
        assert refused.message
        assert left(tmp_path) == []
    else:
        assert (layer.folder / "mine.py").is_file()


@pytest.mark.parametrize("name", ["../out.py", "/tmp/out.py", "a/../../out.py", "mine-1.data/scripts/../../../out"])
def test_no_name_in_a_wheel_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    before = sorted(path.name for path in Path("/tmp").glob("out*"))
    with contextlib.suppress(errors.BuildFailed):
        install(tmp_path, f"./{WHEEL}\n", {WHEEL: wheels.wheel({"mine.py": b"", name: b"out"})})
    assert sorted(path.name for path in Path("/tmp").glob("out*")) == before
    inside = tmp_path / "data/cache/layers"
    assert all(inside in path.parents for path in tmp_path.rglob("out*"))


@pytest.mark.parametrize("form", ["file://{}", "file:{}", "{}"])
def test_a_wheel_of_the_source_brings_none_from_elsewhere_on_this_machine(tmp_path: Path, form: str) -> None:
    secret = tmp_path / "secret-1-py3-none-any.whl"
    secret.write_bytes(wheels.wheel({"secret.py": b"token = 1\n"}, "secret"))
    asking = wheels.wheel({"mine.py": b""}, requires=f"secret @ {form.format(secret)}")
    with pytest.raises(errors.BuildFailed, match=r"requires|comes from"):
        install(tmp_path, f"./{WHEEL}\n", {WHEEL: asking})
    assert left(tmp_path) == []


def test_a_wheel_behind_a_url_brings_none_from_this_machine_either(tmp_path: Path) -> None:
    secret = tmp_path / "secret-1-py3-none-any.whl"
    secret.write_bytes(wheels.wheel({"secret.py": b"token = 1\n"}, "secret"))
    asking = wheels.wheel({"mine.py": b""}, requires=f"secret @ file://{secret}")
    with wheels.index({WHEEL: asking}) as url, pytest.raises(errors.BuildFailed):
        install(tmp_path, f"{url}/files/{WHEEL}\n")
    assert left(tmp_path) == []


def test_downloads_are_kept_for_the_next_build_and_lost_by_one_that_is_refused(tmp_path: Path) -> None:
    held = {
        WHEEL: wheels.wheel({"mine.py": b""}),
        "big-1-py3-none-any.whl": wheels.wheel({"one.bin": bytes(99 * MB)}, "big"),
    }
    cache = tmp_path / "data/cache/downloads"
    with wheels.index(held) as url:
        install(tmp_path, f"--index-url {url}/simple\nmine\n")
        assert os.listdir(cache)
        with pytest.raises(errors.TooLarge):
            install(tmp_path, f"--index-url {url}/simple\nbig\n")
    assert not cache.exists()


def test_a_program_of_a_build_cannot_take_more_than_its_memory_or_raise_its_limits(tmp_path: Path) -> None:
    programs = children.Programs(children.Deadline("f", 30), BOUND)
    greedy = "import resource\ntry: resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))\nexcept ValueError: pass\n"
    greedy += "held = bytearray(4 * 1024 ** 3)"
    ended = programs.run(children.Program(command=[sys.executable, "-c", greedy], cwd=tmp_path, env={}))
    assert (ended.code, ended.stderr.split()[-1]) == (1, "MemoryError")


def test_a_program_of_a_build_has_no_capabilities_and_gains_none(tmp_path: Path) -> None:
    programs = children.Programs(children.Deadline("f", 30), BOUND)
    ended = programs.run(children.Program(command=["/bin/cat", "/proc/self/status"], cwd=tmp_path, env={}))
    told = dict(line.split(":\t", 1) for line in ended.stdout.splitlines() if ":\t" in line)
    assert {int(told[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert told["NoNewPrivs"] == "1"
