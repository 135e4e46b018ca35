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
import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from faas.buckets import keys, listing, objects, passing, publishing
from faas.core import errors, model

PAGE = 1000
_TRIES = 10
_OBJECT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_P = ParamSpec("_P")
_T = TypeVar("_T")


def bucket_root(settings_root: Path, bucket: model.Bucket) -> Path:
    """Where a bucket lives: the folder that it names, or one of the data directory."""
    return Path(bucket.path) if bucket.path is not None else settings_root / "buckets" / bucket.name


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
            fd = os.open(keys.split_key(key)[-1], _OBJECT, dir_fd=folder)
        finally:
            os.close(folder)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise self._missing(key)

    @_translated
    def begin_write(self, key: str) -> int:
        """A descriptor of an unnamed file in the bucket, for `commit`. Closing it without commit leaves nothing."""
        keys.split_key(key)
        root = self._open_root(make=True)
        try:
            return publishing.unnamed_file(root)
        finally:
            os.close(root)

    @_translated
    def write(self, fd: int, data: bytes) -> None:
        """Write all of ``data`` to a descriptor of `begin_write`."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]

    @_translated
    def seal(self, fd: int) -> int:
        """Take over a descriptor of `begin_write` that others had too; one for `commit` of what they wrote to it.

        Whatever they kept, and write to later, is not the object.
        """
        try:
            root = self._open_root(make=True)
        except OSError:
            os.close(fd)
            raise
        try:
            return publishing.sealed(fd, root)
        finally:
            os.close(root)

    @_translated
    def commit(self, fd: int, key: str, *, writer: publishing.Writer | None = None) -> objects.Object:
        """Publish what was written to ``fd`` as the object ``key``, in place of any other. The caller closes ``fd``.

        The bytes are on disk before the name is, and the name is moved into place: no reader, and no crash, meets half
        an object. ``writer`` is the invocation that wrote it; on a file system without extended attributes it is not
        kept.
        """
        name = keys.split_key(key)[-1]
        os.fdatasync(fd)
        publishing.mark(fd, writer)
        for tries_left in reversed(range(_TRIES)):
            folder = self._folder_of(key, make=True)
            try:
                return objects.object_of(key, publishing.publish(fd, folder, name, writer))
            except FileNotFoundError:
                if not tries_left:
                    raise
            finally:
                os.close(folder)
        raise self._missing(key)

    @_translated
    def delete(self, key: str) -> None:
        """Remove the object. Its folders stay. Raises `errors.NotFound` when there is none."""
        name = keys.split_key(key)[-1]
        folder = self._folder_of(key)
        try:
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise self._missing(key)
            os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)

    @_translated
    def stat(self, key: str) -> objects.Object:
        """Size, time and version of the object."""
        fd = self.open_read(key)
        try:
            return objects.object_of(key, os.fstat(fd))
        finally:
            os.close(fd)

    @_translated
    def list(self, prefix: str = "", after: str = "", limit: int = PAGE) -> list[objects.Object]:
        """At most ``limit`` objects whose key starts with ``prefix`` and sorts after ``after``, in order of keys."""
        try:
            root = self._open_root()
        except FileNotFoundError:
            return []
        try:
            return list(itertools.islice(listing.walk(root, prefix, after), max(limit, 0)))
        finally:
            os.close(root)

    @_translated
    def sweep(self) -> int:
        """Remove files that processes which were killed while they published an object left; how many."""
        root = self._open_root()
        try:
            return passing.sweep(root)
        finally:
            os.close(root)

    def _open_root(self, *, make: bool = False) -> int:
        """The bucket's own folder, which may be a link: it is the operator's choice, not a key's."""
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        return os.open(self.root, listing.FOLDER & ~os.O_NOFOLLOW)

    def _folder_of(self, key: str, *, make: bool = False) -> int:
        """A descriptor of the folder that holds the key's last name."""
        names = keys.split_key(key)[:-1]
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
        return os.open(name, listing.FOLDER, dir_fd=folder)
    except NotADirectoryError:
        if make:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
