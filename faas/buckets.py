"""One local bucket as a folder whose keys cannot lead out of it, and whose objects are seen whole or not at all.

A key is walked component by component with ``openat`` and ``O_NOFOLLOW``: a symbolic link inside a bucket is never
followed, so neither a key nor a link that a function or a person left there reaches a file outside. Names that start
with a dot are not objects; objects on their way in have such names for an instant. Everything here blocks: async code
calls it in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from faas.core import errors, model

DEPTH_ATTRIBUTE = "user.faas.depth"
"""Extended attribute of an object: the depth of the invocation that wrote it, in decimal."""

PUBLISHED_ATTRIBUTE = "user.faas.published"
"""Extended attribute of an object: the version in which the platform published it, whole. A later writer changes the
version and leaves this, so the two are equal only while nobody has written since."""

MAX_KEY_BYTES = 1024
MAX_NAME_BYTES = 255
PAGE = 1000
_TRIES = 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OBJECT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_UNNAMED_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_NO_ATTRIBUTES = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES})

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a bucket. ``version`` changes whenever the file's content is replaced or written to."""

    key: str
    size: int
    modified_ms: int
    version: str

    @property
    def etag(self) -> str:
        """32 hexadecimal digits that stand for the version. Like S3's for multipart objects, no digest of the bytes."""
        return hashlib.sha256(self.version.encode()).hexdigest()[:32]


def bucket_root(settings_root: Path, bucket: model.Bucket) -> Path:
    """Where a bucket lives: the folder that it names, or one of the data directory."""
    return Path(bucket.path) if bucket.path is not None else settings_root / "buckets" / bucket.name


def split_key(key: str) -> list[str]:
    """The components of a key. Raises `errors.BadRequest` for what is not a key."""
    fault = _fault_of(key)
    if fault is not None:
        raise errors.BadRequest(f"bad object key {key[:80]!r}: {fault}", key=key[:80].encode(errors="replace").decode())
    return key.split("/")


def _fault_of(key: str) -> str | None:
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "it is not text that UTF-8 can hold"
    if not key:
        return "it is empty"
    if len(encoded) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes"
    if "\0" in key:
        return "it holds a NUL character"
    names = key.split("/")
    if "" in names:
        return "it starts or ends with a slash, or has two in a row"
    if any(name.startswith(".") for name in names):
        return "a name in it starts with a dot"
    if any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        return f"a name in it is longer than {MAX_NAME_BYTES} bytes"
    return None


def _translated(
    method: Callable[Concatenate[BucketFolder, _P], _T],
) -> Callable[Concatenate[BucketFolder, _P], _T]:
    """Turn the errors of the file system into the platform's, once."""

    @functools.wraps(method)
    def translated(self: BucketFolder, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(self, *args, **kwargs)
        except OSError as error:
            raise self._platform_error(error) from error

    return translated


class BucketFolder:
    """The objects of one bucket: ``name`` for messages, ``root`` for the folder that holds them.

    Raises `errors.BadRequest` for a bad key, `errors.NotFound` for a missing object (a folder, a link and a device are
    none), `errors.Conflict` when one key would have to be an object and a folder, `errors.TooLarge` and
    `errors.Unavailable` when the disk refuses.
    """

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root

    def __repr__(self) -> str:
        return f"BucketFolder({self.name!r}, {str(self.root)!r})"

    @_translated
    def open_read(self, key: str) -> int:
        """A descriptor for reading the object; the caller closes it."""
        folder = self._folder_of(key)
        try:
            fd = os.open(split_key(key)[-1], _OBJECT, dir_fd=folder)
        finally:
            os.close(folder)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise self._missing(key)

    @_translated
    def begin_write(self, key: str) -> int:
        """A descriptor of an unnamed file in the bucket, for `commit`. Closing it without commit leaves nothing."""
        split_key(key)
        root = self._open_root(make=True)
        try:
            return _unnamed_file(root)
        finally:
            os.close(root)

    @_translated
    def write(self, fd: int, data: bytes) -> None:
        """Write all of ``data`` to a descriptor of `begin_write`."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]

    @_translated
    def commit(self, fd: int, key: str, *, depth: int | None = None) -> Object:
        """Publish what was written to ``fd`` as the object ``key``, in place of any other. The caller closes ``fd``.

        The bytes are on disk before the name is, and the name is moved into place: no reader, and no crash, meets half
        an object. ``depth`` is that of the invocation that wrote it; on a file system without extended attributes it
        is not kept.
        """
        name = split_key(key)[-1]
        os.fdatasync(fd)
        _mark(fd, depth)
        for tries_left in reversed(range(_TRIES)):
            folder = self._folder_of(key, make=True)
            try:
                _publish(fd, folder, name, depth)
                return object_of(key, os.stat(name, dir_fd=folder, follow_symlinks=False))
            except FileNotFoundError:
                if not tries_left:
                    raise
            finally:
                os.close(folder)
        raise self._missing(key)

    @_translated
    def delete(self, key: str) -> None:
        """Remove the object. Its folders stay. Raises `errors.NotFound` when there is none."""
        name = split_key(key)[-1]
        folder = self._folder_of(key)
        try:
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise self._missing(key)
            os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)

    @_translated
    def stat(self, key: str) -> Object:
        """Size, time and version of the object."""
        fd = self.open_read(key)
        try:
            return object_of(key, os.fstat(fd))
        finally:
            os.close(fd)

    @_translated
    def list(self, prefix: str = "", after: str = "", limit: int = PAGE) -> list[Object]:
        """At most ``limit`` objects whose key starts with ``prefix`` and sorts after ``after``, in order of keys."""
        try:
            root = self._open_root()
        except FileNotFoundError:
            return []
        found: list[Object] = []
        try:
            for item in _walk(root, "", prefix, after) if limit > 0 else ():
                found.append(item)
                if len(found) >= limit:
                    break
        finally:
            os.close(root)
        return found

    def _open_root(self, *, make: bool = False) -> int:
        """The bucket's own folder, which may be a link: it is the operator's choice, not a key's."""
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        return os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)

    def _folder_of(self, key: str, *, make: bool = False) -> int:
        """A descriptor of the folder that holds the key's last name."""
        names = split_key(key)[:-1]
        folder = self._open_root(make=make)
        for name in names:
            try:
                folder, outer = _step(folder, name, make=make), folder
            except OSError:
                os.close(folder)
                raise
            os.close(outer)
        return folder

    def _missing(self, key: str) -> errors.NotFound:
        return errors.NotFound(f"no object {key!r} in bucket {self.name!r}", bucket=self.name)

    def _platform_error(self, error: OSError) -> errors.FaasError:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return errors.NotFound(f"no such object in bucket {self.name!r}", bucket=self.name)
        if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
            return errors.Conflict(f"a key of bucket {self.name!r} is both object and folder", bucket=self.name)
        if error.errno == errno.ENAMETOOLONG:
            return errors.BadRequest(f"bad object key: {reason}", bucket=self.name)
        if error.errno == errno.EFBIG:
            return errors.TooLarge(f"the object is too large for bucket {self.name!r}", bucket=self.name)
        return errors.Unavailable(f"bucket {self.name!r}: {reason}", bucket=self.name, hint="see `faas doctor`")


def _step(folder: int, name: str, *, make: bool) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except NotADirectoryError:
        if make:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None


def _unnamed_file(folder: int) -> int:
    try:
        return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
    name = _passing_name()
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
    os.unlink(name, dir_fd=folder)
    return fd


def _mark(fd: int, depth: int | None) -> None:
    """Say on the file itself that the platform publishes it as it is now, and how deep in a chain it was written."""
    try:
        os.setxattr(fd, PUBLISHED_ATTRIBUTE, version_of(os.fstat(fd)).encode())
        if depth is not None:
            os.setxattr(fd, DEPTH_ATTRIBUTE, str(depth).encode())
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES:
            raise


def _publish(fd: int, folder: int, name: str, depth: int | None) -> None:
    passing = _passing_name()
    try:
        os.link(f"/proc/self/fd/{fd}", passing, dst_dir_fd=folder, follow_symlinks=True)
    except FileNotFoundError:  # this file system has no unnamed files: fd is of a file whose name was removed
        _copy(fd, folder, passing, depth)
    try:
        _move(folder, passing, name)
    except OSError:
        os.unlink(passing, dir_fd=folder)
        raise


def _move(folder: int, passing: str, name: str) -> None:
    try:
        os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)
    except IsADirectoryError:  # an empty folder, left when its last object went, gives way
        os.rmdir(name, dir_fd=folder)
        os.rename(passing, name, src_dir_fd=folder, dst_dir_fd=folder)


def _copy(fd: int, folder: int, name: str, depth: int | None) -> None:
    target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
    try:
        offset = 0
        while sent := os.sendfile(target, fd, offset, 1 << 24):
            offset += sent
        os.fdatasync(target)
        _mark(target, depth)
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(target)


def _passing_name() -> str:
    return f".faas-{secrets.token_hex(8)}"


def _walk(folder: int, path: str, prefix: str, after: str) -> Iterator[Object]:
    """The objects under an open folder whose keys start with ``path``, in the order of keys, folder by folder."""
    for name, is_folder in _entries(folder):
        key = path + name
        if is_folder:
            if not _may_hold(key, prefix, after):
                continue
            yield from _walk_inner(folder, name.rstrip("/"), key, prefix, after)
        elif key > after and key.startswith(prefix):
            found = _stat_object(folder, name, key)
            if found is not None:
                yield found


def _walk_inner(outer: int, name: str, path: str, prefix: str, after: str) -> Iterator[Object]:
    try:
        folder = os.open(name, _FOLDER, dir_fd=outer)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        yield from _walk(folder, path, prefix, after)
    finally:
        os.close(folder)


def _may_hold(folder_key: str, prefix: str, after: str) -> bool:
    on_the_way = folder_key.startswith(prefix) or prefix.startswith(folder_key)
    return on_the_way and (folder_key > after or after.startswith(folder_key))


def _entries(folder: int) -> list[tuple[str, bool]]:
    """Names of files and folders (these end with a slash, which is how their objects sort), in the order of keys."""
    with os.scandir(folder) as scan:
        found = [
            (entry.name + "/", True) if entry.is_dir(follow_symlinks=False) else (entry.name, False)
            for entry in scan
            if not entry.name.startswith(".") and _is_text(entry.name)
        ]
    found.sort()
    return found


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _stat_object(folder: int, name: str, key: str) -> Object | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return object_of(key, found) if stat.S_ISREG(found.st_mode) else None


def object_of(key: str, found: os.stat_result) -> Object:
    """The object whose file was found so."""
    return Object(
        key=key,
        size=found.st_size,
        modified_ms=found.st_mtime_ns // 1_000_000,
        version=version_of(found),
    )


def version_of(found: os.stat_result) -> str:
    """The version of the file that was found so: another one whenever it is written to or replaced."""
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"
