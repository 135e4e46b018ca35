from __future__ import annotations

import contextlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faas import artifacts
from faas.core import errors

LIMITS = artifacts.ArchiveLimits(max_bytes=100_000, max_entries=50)


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in entries:
            tar.addfile(member, io.BytesIO(content))
    made.seek(0)
    return made


def test_files_dotfiles_and_executable_bits_are_kept_and_nothing_else_of_a_mode(tmp_path: Path) -> None:
    source = archive(
        entry("./app.py", b"x = 1\n", mode=0o600),
        entry("deep/er/.hidden", b"h", mode=0o4777),
        entry("empty", type=tarfile.DIRTYPE, mode=0o000),
    )
    assert artifacts.extract(source, tmp_path, LIMITS) == 7
    assert (tmp_path / "app.py").stat().st_mode & 0o7777 == 0o644
    assert (tmp_path / "deep/er/.hidden").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a\0b", "a/" + "n" * 300, "x/" * 600 + "y"])
def test_a_name_that_leads_out_or_is_too_long_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    source = io.BytesIO()
    with tarfile.open(fileobj=source, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        tar.addfile(tarfile.TarInfo(name + "é"), io.BytesIO())  # not ASCII: the whole name is in the PAX header
    source.seek(0)
    with pytest.raises(errors.BadRequest):
        artifacts.extract(source, folder, LIMITS)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.FIFOTYPE, "named pipe"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
    ],
)
def test_links_pipes_and_devices_are_refused_by_name(tmp_path: Path, kind: bytes, said: str) -> None:
    source = archive(entry("odd", type=kind, linkname="/etc/passwd"))
    with pytest.raises(artifacts.BadTar, match=f"odd.*{said}"):
        artifacts.extract(source, tmp_path, LIMITS)
    assert list(tmp_path.iterdir()) == []


def test_a_hard_link_to_an_earlier_file_becomes_a_copy(tmp_path: Path) -> None:
    source = archive(entry("a", b"same", mode=0o755), entry("b", type=tarfile.LNKTYPE, linkname="a"))
    artifacts.extract(source, tmp_path, LIMITS)
    assert (tmp_path / "b").read_bytes() == b"same"
    assert (tmp_path / "b").stat().st_nlink == 1
    assert os.access(tmp_path / "b", os.X_OK)


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "later", "b"])
def test_a_hard_link_to_what_is_not_in_the_archive_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(artifacts.BadTar):
        artifacts.extract(archive(entry("b", type=tarfile.LNKTYPE, linkname=target)), folder, LIMITS)
    assert list(folder.iterdir()) == []


def test_more_bytes_or_files_than_allowed_are_refused(tmp_path: Path) -> None:
    small = artifacts.ArchiveLimits(max_bytes=10, max_entries=2)
    for number, source in enumerate(
        [
            archive(entry("a", b"x" * 11)),
            archive(entry("a", b"x" * 6), entry("b", b"x" * 6)),
            archive(entry("a", b"x" * 6), entry("b", type=tarfile.LNKTYPE, linkname="a")),
            archive(entry("a"), entry("b"), entry("c")),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(errors.TooLarge):
            artifacts.extract(source, folder, small)


def test_a_header_that_claims_gigabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 7 * 1024**3
    with pytest.raises(artifacts.BadTar, match="claims"):
        artifacts.extract(io.BytesIO(header.tobuf() + bytes(10_240)), tmp_path, LIMITS)


def test_an_archive_that_breaks_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = archive(entry("a.py", b"a" * 700), entry("b.py", b"b" * 700)).getvalue()
    data_ends = 2 * (512 + 1024)
    for number, cut in enumerate(range(0, data_ends + 1, 256)):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(artifacts.BadTar):
            artifacts.extract(io.BytesIO(whole[:cut]), folder, LIMITS)


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    whole = bytearray(archive(entry("a.py", b"a"), entry("b.py", b"b")).getvalue())
    whole[1024:1034] = b"\xff" * 10
    with pytest.raises(artifacts.BadTar, match="byte 1024"):
        artifacts.extract(io.BytesIO(whole), tmp_path, LIMITS)


def test_a_name_that_is_both_file_and_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(artifacts.BadTar, match="both as a file and as a folder"):
        artifacts.extract(archive(entry("a", b"1"), entry("a/b", b"2")), tmp_path, LIMITS)


def test_bytecode_that_somebody_packed_along_is_left_out(tmp_path: Path) -> None:
    artifacts.extract(archive(entry("p/__pycache__/app.cpython-311.pyc", b"evil"), entry("app.py")), tmp_path, LIMITS)
    assert [path.name for path in tmp_path.rglob("*")] == ["app.py"]


def test_a_pax_record_that_claims_more_than_any_memory_holds_is_refused(tmp_path: Path) -> None:
    record = b"9" * 30 + b" path=a\n"
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    source = header.tobuf() + record.ljust(512, b"\0") + tarfile.TarInfo("a").tobuf() + bytes(10_240)
    with pytest.raises(artifacts.BadTar):
        artifacts.extract(io.BytesIO(source), tmp_path, LIMITS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=12))
def test_whatever_is_changed_in_an_archive_it_unpacks_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "in"
    folder.mkdir()
    damaged = bytearray(archive(entry("a.py", b"a" * 700), entry("é" * 60 + ".py", b"b" * 700)).getvalue())
    for at, value in flips:
        damaged[at] = value
    with contextlib.suppress(errors.FaasError):
        artifacts.extract(io.BytesIO(damaged), folder, LIMITS)
    assert [path.name for path in folder.parent.iterdir()] == ["in"]


@pytest.mark.parametrize(
    "size", [b"\x80" + b"\xff" * 11, b"\x80" + bytes(3) + b"\x40" + bytes(7), b"\xff" * 10 + b"\xf0\0"]
)
@pytest.mark.parametrize("name", ["__pycache__/x", "x"])
def test_a_header_that_points_past_every_file_or_before_its_begin_is_refused(
    tmp_path: Path, name: str, size: bytes
) -> None:
    whole = bytearray(archive(entry(name)).getvalue())
    whole[124:136], whole[148:156] = size, b" " * 8
    whole[148:156] = f"{sum(whole[:512]):06o}\0 ".encode()
    with pytest.raises(errors.FaasError):
        artifacts.extract(io.BytesIO(bytes(whole)), tmp_path, LIMITS)
