"""A backup's file as somebody else may have made it, and a folder for backups in which others may write."""

from __future__ import annotations

import io
import os
import random
import tarfile
from pathlib import Path

import pytest

from faas.backup import archive, restoring, staging
from faas.core import errors


def made() -> bytes:
    """A good one."""
    file = io.BytesIO()
    writer = archive.BackupWriter(file)
    writer.add_bytes("redis/appendonlydir/appendonly.aof.manifest", b"x" * 700)
    writer.add_bytes("token", b"t" * 10)
    writer.add_bytes(f"artifacts/{'a' * 120}.tar", b"y" * 600)
    writer.finish("1", 1, ("buckets",))
    return file.getvalue()


def restored(content: bytes, folder: Path) -> archive.Manifest:
    file = folder / "backup.tar"
    file.write_bytes(content)
    return restoring.restore(file, folder / "data")


def forged(entry: tarfile.TarInfo, content: bytes = b"", form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of one entry."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def test_a_file_of_holes_fills_no_disk(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("token")
    entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 28)}
    with pytest.raises(errors.BadRequest, match="'token' in it is no file"):
        restored(forged(entry, b"0\n".ljust(512, b"\0")), tmp_path)
    assert os.listdir(tmp_path) == ["backup.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
@pytest.mark.parametrize("name", ["token", "../token", "/etc/token", "artifacts/../../token", "redis/a\0b", "other"])
def test_neither_links_nor_devices_nor_names_lead_out_of_the_folder(tmp_path: Path, kind: bytes, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    with pytest.raises(errors.BadRequest, match="is no whole backup"):
        restored(forged(entry), tmp_path)
    assert os.listdir(tmp_path) == ["backup.tar"]


def test_a_part_that_comes_twice_is_refused(tmp_path: Path) -> None:
    good = made()
    with pytest.raises(errors.BadRequest, match="twice"):
        restored(good[:1536] + good, tmp_path)


def test_a_tar_with_any_header_changed_is_taken_or_refused_in_one_line(tmp_path: Path) -> None:
    chance, good, file = random.Random(1), made(), tmp_path / "backup.tar"
    for number in range(300):
        changed = _changed(chance, bytearray(good))
        into = tmp_path / str(number)
        into.mkdir()
        file.write_bytes(changed)
        try:
            archive.unpack(file, into)
        except errors.BadRequest as error:
            assert "\n" not in error.message
        except OSError:
            pass
    assert sorted(os.listdir(tmp_path)) == sorted(["backup.tar", *map(str, range(300))])


def _changed(chance: random.Random, content: bytearray) -> bytes:
    """One header of it changed, with the right sum."""
    start = chance.randrange(len(content) // 512) * 512
    kind = chance.randrange(4)
    if kind == 0:
        content[start + chance.randrange(512)] = chance.randrange(256)
    elif kind == 1:
        sizes = (
            b"\x80" + b"\xff" * 11,
            b"\xff" * 12,
            b"77777777777\0",
            b"\x80\0\0\0\x40".ljust(12, b"\0"),
            b"-0000000512\0",
        )
        content[start + 124 : start + 136] = chance.choice(sizes)
    elif kind == 2:
        content[start + 156] = chance.choice(b"0123456789xgLKSDNMVA\0")
    else:
        names = (b"../../x", b"token", b"/etc/x", b"redis/../../x", b"ledger.db/x", b"artifacts", b"redis/\xff")
        content[start : start + 100] = chance.choice(names).ljust(100, b"\0")
    header = content[start : start + 512]
    header[148:156] = b" " * 8
    content[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    return bytes(content)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_no_secret_goes_through_a_folder_that_somebody_else_made(tmp_path: Path) -> None:
    theirs = tmp_path / ".mine.tar.faas-partial"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 12_345, 12_345)
    with pytest.raises(errors.Conflict, match="not this user's alone"), staging.beside(tmp_path / "mine.tar"):
        pass


@pytest.mark.parametrize("how", ["folder", "lock"])
def test_a_folder_for_backups_that_all_may_write_into_is_no_way_to_other_files(tmp_path: Path, how: str) -> None:
    elsewhere, shared = tmp_path / "elsewhere", tmp_path / "shared"
    elsewhere.mkdir()
    shared.mkdir()
    theirs = shared / ".of-somebody.faas-partial"
    if how == "folder":
        theirs.symlink_to(elsewhere)
    else:
        theirs.mkdir(mode=0o777)
        theirs.chmod(0o777)
        (theirs / "lock").symlink_to(elsewhere / "lock")
    with staging.beside(shared / "mine.tar"):
        pass
    assert os.listdir(elsewhere) == []
    assert [path.name for path in shared.iterdir()] == [theirs.name]
