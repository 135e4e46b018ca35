"""Content-addressed bundles on disk: `artifacts/<sha256>.tar`, and `code/<sha256>/` as the unpacked cache of them.

A bundle is the same, byte for byte, whenever it holds the same files: entries sorted, no times, no owners, modes 0644
and 0755. Everything appears under its name at once and whole, or not at all; what a killed process leaves starts with
`.partial-` and is swept.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from faas.artifacts import disk, merge
from faas.core import errors

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PARTIAL = ".partial-"
_PARTIAL_KEPT_S = 3600
_CHUNK_BYTES = 1024 * 1024


class Artifacts:
    """The bundles of one data directory. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self._tars = root / "artifacts"
        self._code = root / "code"

    def __repr__(self) -> str:
        return f"<Artifacts {str(self._tars)!r}>"

    def pack(self, *folders: Path) -> tuple[str, Path]:
        """Bundle the files of ``folders``, a later folder's over an earlier one's; the digest and the tar's path.

        Raises `errors.Unavailable` when the disk is full, `errors.BadRequest` for what is neither file nor folder.
        """
        entries = merge.merged(folders)
        with disk.out_of_space(), self._partial() as (file, partial):
            hashing = _Hashing(file)
            _write_tar(entries, hashing)
            return self._publish(file, partial, hashing.digest())

    def put(self, bundle: BinaryIO) -> str:
        """Keep a bundle that was packed elsewhere; its digest. Raises `errors.Unavailable` when the disk is full."""
        with disk.out_of_space(), self._partial() as (file, partial):
            hashing = _Hashing(file)
            shutil.copyfileobj(bundle, hashing, _CHUNK_BYTES)
            return self._publish(file, partial, hashing.digest())[0]

    def has(self, digest: str) -> bool:
        """Whether the bundle is here."""
        return _DIGEST.fullmatch(digest) is not None and self._tar(digest).is_file()

    def open(self, digest: str) -> BinaryIO:
        """The bundle's bytes, compared with its digest. Raises `errors.NotFound`, `errors.Unavailable` for damage."""
        bundle = self._open(digest)
        try:
            _check(bundle, digest)
        except BaseException:
            bundle.close()
            raise
        return bundle

    def _open(self, digest: str) -> BinaryIO:
        try:
            return self._tar(_checked(digest)).open("rb")
        except FileNotFoundError as error:
            raise _missing(digest) from error

    def unpack(self, digest: str) -> Path:
        """The folder with the bundle's files, all read-only; unpacked at the first call, whoever else asks meanwhile.

        Raises `errors.NotFound`, and `errors.Unavailable` when the disk is full or the bundle on it damaged.
        """
        code = self._code / _checked(digest)
        if code.is_dir():
            return code
        with self._open(digest) as bundle:
            fcntl.flock(bundle, fcntl.LOCK_EX)  # whoever comes meanwhile waits for this one
            if not code.is_dir():
                with disk.out_of_space():
                    self._unpack(bundle, digest, code)
        return code

    def sizes(self) -> dict[str, int]:
        """Every bundle that is here, packed or unpacked, with the bytes that both take (of files, not of blocks)."""
        found = dict.fromkeys((name for name in _names(self._code) if _DIGEST.fullmatch(name)), 0)
        for name in _names(self._tars):
            digest = name.removesuffix(".tar")
            if name != digest and _DIGEST.fullmatch(digest):
                with contextlib.suppress(FileNotFoundError):
                    # Tars are not compressed, so an unpacked one takes as much again.
                    found[digest] = self._tar(digest).stat().st_size * (2 if digest in found else 1)
        return found

    def size(self, digest: str) -> int:
        """The bytes that one takes, packed and unpacked; 0 when it is not here."""
        try:
            return self._tar(digest).stat().st_size * (2 if (self._code / digest).is_dir() else 1)
        except OSError:
            return 0

    def remove(self, digest: str) -> None:
        """Forget a bundle and its unpacked files. It is no error when there is none."""
        self._tar(_checked(digest)).unlink(missing_ok=True)
        code = self._code / digest
        if code.is_dir():
            doomed = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self._code))
            with contextlib.suppress(FileNotFoundError):
                # Away in one step: whoever unpacks it meanwhile finds nothing, and not a half.
                code.rename(doomed / digest)
            shutil.rmtree(doomed, ignore_errors=True)

    def sweep(self) -> int:
        """Remove what killed processes left half-written an hour ago or longer; how many."""
        before = time.time() - _PARTIAL_KEPT_S
        stale = [
            path
            for folder in (self._tars, self._code)
            if folder.is_dir()
            for path in folder.iterdir()
            if path.name.startswith(_PARTIAL) and path.stat().st_mtime < before
        ]
        for path in stale:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(stale)

    def _tar(self, digest: str) -> Path:
        return self._tars / f"{digest}.tar"

    @contextlib.contextmanager
    def _partial(self) -> Iterator[tuple[BinaryIO, Path]]:
        self._tars.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=_PARTIAL, dir=self._tars)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _publish(self, file: BinaryIO, partial: Path, digest: str) -> tuple[str, Path]:
        file.flush()
        # The ledger will name it, and keeps its own word through a power cut: so must the file, and its name in the
        # folder.
        os.fsync(file.fileno())
        path = self._tar(digest)
        os.fchmod(file.fileno(), 0o644)
        partial.rename(path)
        _sync(self._tars)
        return digest, path

    def _unpack(self, bundle: BinaryIO, digest: str, code: Path) -> None:
        _check(bundle, digest)
        self._code.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self._code))
        try:
            partial.chmod(0o755)
            _read_tar(bundle, partial)
            partial.rename(code)
        except OSError as error:
            # Another process was quicker: what it unpacked is the same.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


class _Hashing:
    """A file that hashes what passes through."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def digest(self) -> str:
        return self._hash.hexdigest()


def _write_tar(entries: Mapping[str, Path], file: _Hashing) -> None:
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:  # type: ignore[call-overload]
        # Sorted, and without times or owners: the same files give the same digest, and so the same artifact.
        for name in sorted(entries):
            _add(tar, name, entries[name])


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    with path.open("rb") if not path.is_dir() else contextlib.nullcontext() as content:
        status = path.stat()
        if content is None:
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        else:
            entry.size, entry.mode = status.st_size, 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        tar.addfile(entry, content)


def _check(bundle: BinaryIO, digest: str) -> None:
    """Raise `errors.Unavailable` when a bundle is not the one of its name. It stands at its beginning then."""
    if hashlib.file_digest(bundle, "sha256").hexdigest() != digest:  # type: ignore[arg-type]
        raise errors.Unavailable(f"the artifact {digest} is damaged on disk", hint="deploy its functions again")
    bundle.seek(0)


def _read_tar(bundle: BinaryIO, folder: Path) -> None:
    """Unpack what `_write_tar` wrote: its digest was checked, so it holds plain relative names."""
    with tarfile.open(fileobj=bundle, mode="r:", encoding="utf-8") as tar:
        for entry in tar:
            path = folder / entry.name
            if entry.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(entry)
            if content is None:
                raise errors.Unavailable(f"the artifact holds {entry.name}, which is no file", hint="deploy again")
            with content, path.open("xb") as file:
                shutil.copyfileobj(content, file, _CHUNK_BYTES)
            # Read-only, as sandboxes share these files by hard links.
            path.chmod(0o555 if entry.mode & 0o100 else 0o444)


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checked(digest: str) -> str:
    # A digest becomes a part of a path, whoever sent it.
    if _DIGEST.fullmatch(digest) is None:
        raise _missing(digest)
    return digest


def _missing(digest: str) -> errors.NotFound:
    return errors.NotFound(f"no artifact {digest!r}", hint="deploy the function again", artifact=digest)
