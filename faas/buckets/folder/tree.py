"""The way from a key to its folder, which never leads out of the bucket, and the file system's errors.

A key is walked component by component with ``openat`` and ``O_NOFOLLOW``: a symbolic link inside a bucket is never
followed, so neither a key nor a link that a function or a person left there reaches a file outside.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from faas.buckets import keys
from faas.core import errors

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder within a bucket is opened: never through a link."""


class Tree:
    """The folder of one bucket: ``name`` for messages, ``root`` for where it is."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the errors of the file system into the platform's."""
        try:
            yield
        except OSError as error:
            raise self._platform_error(error) from error

    @contextlib.contextmanager
    def opened_root(self, *, make: bool = False) -> Iterator[int]:
        """A descriptor of the bucket's own folder. Raises `OSError`."""
        fd = self._open_root(make=make)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def opened_folder_of(self, key: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that holds a key's last name, and that name. Raises `OSError`."""
        *outer, name = keys.split_key(key)
        fd = self._open_root(make=make)
        try:
            for each in outer:
                inner = _step(fd, each, make=make)
                os.close(fd)
                fd = inner
            yield fd, name
        finally:
            os.close(fd)

    def missing(self, key: str) -> errors.NotFound:
        """What to raise when there is no such object."""
        return errors.NotFound(f"no object {key!r} in bucket {self.name!r}", bucket=self.name)

    def _open_root(self, *, make: bool) -> int:
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        # It may be a link: that is the operator's choice, not a key's.
        return os.open(self.root, FOLDER & ~os.O_NOFOLLOW)

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
        return os.open(name, FOLDER, dir_fd=folder)
    except NotADirectoryError:
        if make:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
