"""The file of a backup: a tar of what a data directory holds, and at its end what it must hold.

::

    ledger.db  redis/appendonlydir/…  journals/…  artifacts/<sha256>.tar  token  faas.toml  alarms.yaml
    manifest.json        size and SHA-256 of each of these; last, so that a file that was cut has none
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from faas.core import errors
from faas.core.values import unreadable

FORMAT = 1
MANIFEST = "manifest.json"
FILES = ("token", "faas.toml", "alarms.yaml")
"""Files of a data directory that are copied where they are there."""

_TOPS = frozenset(("ledger.db", "redis", "journals", "artifacts", *FILES))
_CHUNK_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 1 << 28
_BROKEN = (tarfile.TarError, EOFError, RecursionError, ValueError, LookupError, OverflowError)
"""What reading a tar raises whose numbers and names mean nothing."""
_AGAIN = "take the backup again, or use another one"


class BackupPart(msgspec.Struct, frozen=True):
    """One file of a backup."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, when and by which version it was taken, and what was left out of it."""

    format: int
    version: str
    taken_at_ms: int
    left_out: Sequence[str]
    parts: Sequence[BackupPart]

    @property
    def bytes(self) -> int:
        """Of all its parts."""
        return sum(part.size for part in self.parts)


class BackupWriter:
    """Writes one, part by part. What was written is no backup before `finish`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8")  # noqa: SIM115
        self._parts: list[BackupPart] = []

    def add(self, name: str, path: Path) -> None:
        """Add a file. Raises `OSError`, also when it becomes shorter meanwhile."""
        with path.open("rb") as file:
            self._add(name, file, os.fstat(file.fileno()).st_size)

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add what is in memory."""
        self._add(name, io.BytesIO(content), len(content))

    def finish(self, version: str, taken_at_ms: int, left_out: Sequence[str]) -> Manifest:
        """Add what it must hold, which makes it whole."""
        made = Manifest(
            format=FORMAT, version=version, taken_at_ms=taken_at_ms, left_out=left_out, parts=tuple(self._parts)
        )
        self.add_bytes(MANIFEST, msgspec.json.format(msgspec.json.encode(made), indent=1))
        self._tar.close()
        return made

    def _add(self, name: str, file: IO[bytes], size: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        reading = _HashingReader(file)
        self._tar.addfile(entry, reading)
        self._parts.append(BackupPart(name, size, reading.digest()))


class _HashingReader:
    """A file that hashes what is read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


def unpack(file: Path, into: Path, told: Callable[[str], None] = lambda name: None) -> Manifest:
    """Write the parts of a backup into an empty folder, each compared with its digest; what it held.

    Raises `errors.BadRequest` for what is no backup, was cut or is damaged; what is in ``into`` then means nothing.
    Raises `OSError` when it cannot be written.
    """
    found: list[BackupPart] = []
    manifest: Manifest | None = None
    try:
        with tarfile.open(file, mode="r:", encoding="utf-8") as tar:
            for entry in tar:
                if manifest is not None:
                    raise _damaged(file, "something follows its end")
                if entry.name == MANIFEST:
                    manifest = _manifest(file, _content(file, tar, entry))
                    continue
                told(entry.name)
                found.append(_unpack_one(file, tar, entry, into))
    except _BROKEN as error:
        raise _damaged(file, f"it was cut, or is no backup ({error})") from error
    if manifest is None:
        raise _damaged(file, "it was cut: its end is missing")
    if list(manifest.parts) != found:
        raise _damaged(file, f"{_first_difference(manifest.parts, found)} is not what was written")
    return manifest


def _unpack_one(file: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo, into: Path) -> BackupPart:
    content = _content(file, tar, entry)
    if not is_name(entry.name):
        raise _damaged(file, f"it holds {entry.name[:80]!r}")
    path = into / entry.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # An artifact is addressed by what it holds; others of the user may read it where it is unpacked anyway.
    mode = 0o644 if entry.name.startswith("artifacts/") else 0o600
    hashing = _HashingReader(content)
    if path.exists():
        raise _damaged(file, f"it holds {entry.name[:80]!r} twice")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as written:
        # Whatever the umask: the store gives it this mode, too.
        os.fchmod(written.fileno(), mode)
        shutil.copyfileobj(hashing, written, _CHUNK_BYTES)
        size = written.tell()
        written.flush()
        os.fsync(written.fileno())
    return BackupPart(entry.name, size, hashing.digest())


def is_name(name: str) -> bool:
    """Whether a part may have this name: below what backups hold, and nowhere else."""
    parts = PurePosixPath(name).parts
    plain = all(part not in ("", ".", "..") and "\0" not in part for part in parts)
    return bool(parts) and plain and parts[0] in _TOPS and name == "/".join(parts) and len(parts) <= 4


def _content(file: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    # One with holes could say that it is as large as it likes; what is written here is never larger than the file.
    content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
    if content is None:
        raise _damaged(file, f"{entry.name[:80]!r} in it is no file")
    return content


def _manifest(file: Path, content: IO[bytes]) -> Manifest:
    try:
        raw = content.read(_MOST_MANIFEST_BYTES)
        if (found := msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("format")) is not None:
            number = msgspec.json.decode(found, type=int)
            if number > FORMAT:
                raise errors.BadRequest(
                    f"{file} has format {number}, and this faas knows up to {FORMAT}", hint="use the newer faas"
                )
        return msgspec.json.decode(raw, type=Manifest)
    except unreadable.ERRORS as error:
        raise _damaged(file, "what it must hold cannot be read") from error


def _first_difference(wanted: Sequence[BackupPart], found: Sequence[BackupPart]) -> str:
    for one, other in zip(wanted, found, strict=False):
        if one != other:
            return one.name
    return (wanted if len(wanted) > len(found) else found)[min(len(wanted), len(found))].name


def _damaged(file: Path, why: str) -> errors.BadRequest:
    return errors.BadRequest(f"{file} is no whole backup: {why}", hint=_AGAIN)
