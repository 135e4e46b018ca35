"""Reading tar files that anyone may have made: nothing is written outside the folder, and nothing but plain files.

Links, devices and names that leave the folder are refused. Owners, times and modes of the archive are ignored, except
whether a file is executable. A hard link to an earlier member is what archivers write for a second name of one file;
it becomes a copy.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from faas.core import errors

_HEADER_BYTES = 1024 * 1024
_CHUNK_BYTES = 256 * 1024
_LARGEST_OFFSET = 2**62
_PATH_BYTES = 1024
_SKIPPED = frozenset({"__pycache__"})


class BadTar(errors.BadRequest):
    """The archive is damaged, or holds what no source may hold."""

    code = "bad_source"


class ArchiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much an archive may unpack to."""

    max_bytes: int
    max_entries: int


def extract(archive: BinaryIO, folder: Path, limits: ArchiveLimits) -> int:
    """Write the files of a plain, seekable tar into the empty ``folder``; the number of their bytes.

    Files get mode 0644 or 0755, folders 0755; bytecode caches are left out. Raises `BadTar`, `errors.TooLarge` and
    the OSError of a folder that cannot be written.
    """
    written = 0
    try:
        with tarfile.open(fileobj=_Guarded(archive), mode="r:") as tar:
            for count, member in enumerate(tar, start=1):
                if count > limits.max_entries:
                    raise errors.TooLarge(f"the source has more than {limits.max_entries} files")
                written += _write(tar, member, folder, limits.max_bytes - written)
            end = tar.offset
    except (tarfile.TarError, EOFError, RecursionError, ValueError, LookupError, OverflowError) as error:
        raise BadTar(f"the source is not a tar file that can be read: {error}") from error
    _check_end(archive, end)
    return written


def _check_end(archive: BinaryIO, end: int) -> None:
    """tarfile takes a damaged header for the end of the archive; only a block of zeros is one."""
    archive.seek(end)
    if archive.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise BadTar(f"the source is not a whole tar file: it breaks off at byte {end}")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, room: int) -> int:
    parts = _parts(member.name)
    if not parts or _SKIPPED.intersection(parts):
        return 0
    path = folder.joinpath(*parts)
    try:
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        return _write_file(tar, member, folder, path, room)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BadTar(f"the source has {member.name} both as a file and as a folder") from error


def _write_file(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, path: Path, room: int) -> int:
    if member.islnk():
        return _copy(member, folder, path, room)
    if not member.isreg() or member.issparse() or member.size < 0:
        raise BadTar(
            f"the source holds {member.name}, which is {_kind(member)}", hint="put plain files into the source folder"
        )
    # By what the header says, before a byte is written; the size is compared again at the end.
    if member.size > room:
        raise errors.TooLarge(f"the source is too large: {member.name} does not fit any more")
    with _content(tar, member) as source, _create(path, executable=bool(member.mode & 0o111)) as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
    if path.stat().st_size != member.size:
        raise BadTar(f"the source breaks off inside {member.name}")
    return member.size


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise BadTar(f"the source holds {member.name} without its content")
    return content


def _copy(member: tarfile.TarInfo, folder: Path, path: Path, room: int) -> int:
    parts = _parts(member.linkname)
    original = folder.joinpath(*parts)
    if not parts or not original.is_file() or original == path:
        raise BadTar(f"the source holds {member.name} as a link to {member.linkname}, which is not in it")
    status = original.stat()
    if status.st_size > room:
        raise errors.TooLarge(f"the source is too large: {member.name} does not fit any more")
    with original.open("rb") as source, _create(path, executable=bool(status.st_mode & 0o100)) as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
    return status.st_size


def _create(path: Path, *, executable: bool) -> BinaryIO:
    """A fresh file; of two members with one name the later one counts."""
    if path.is_file():
        path.unlink()
    # Never through a link, and never into a file that is there: what was unpacked before decides nothing.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o755 if executable else 0o644)
    return os.fdopen(descriptor, "wb")


def _parts(name: str) -> list[str]:
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise BadTar(f"the source holds a name that is not UTF-8: {name!a}") from error
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise BadTar(f"the source holds a name that leads out of its folder: {name!r}")
    # Linux takes names of 255 bytes; paths are bounded below its 4,096, as the folder's own comes before them.
    if len(encoded) > _PATH_BYTES or any(len(part.encode()) > 255 for part in parts):
        raise BadTar(f"the source holds a name that is too long: {name[:80]}…")
    return parts


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return f"a symbolic link to {member.linkname}"
    if member.isfifo():
        return "a named pipe"
    if member.ischr() or member.isblk():
        return "a device"
    return "no plain file"


class _Guarded(io.RawIOBase):
    """The archive, as tarfile sees it: a header that claims to be huge is not read into memory."""

    def __init__(self, archive: BinaryIO) -> None:
        super().__init__()
        self._archive = archive

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if not 0 <= offset <= _LARGEST_OFFSET:
            raise tarfile.ReadError(f"a header points to byte {offset}")
        return self._archive.seek(offset, whence)

    def tell(self) -> int:
        return self._archive.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self._archive.read(size)
