"""The way from a key to its folder, which never leads out of the bucket, and the file system's errors.

A key is walked component by component with ``openat`` and ``O_NOFOLLOW``: a symbolic link inside a bucket is never
followed, so neither a key nor a link that a function or a person left there reaches a file outside. The bucket's own
folder is judged each time, once it is open: a link that took its place, or that of a folder above it, leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from faas.buckets import keys
from faas.core import bucket_places, errors

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder within a bucket is opened: never through a link."""


class Tree:
    """The folder of one bucket: ``name`` for messages, ``root`` for where it is.

    ``places`` judges where that really is; without one it may be anywhere.
    """

    def __init__(self, name: str, root: Path, places: bucket_places.BucketPlaces | None = None) -> None:
        self.name = name
        self.root = root
        self._places = places

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the errors of the file system into the platform's."""
        try:
            yield
        except OSError as error:
            raise self._platform_error(error) from error

    @contextlib.contextmanager
    def opened_root(self, *, make: bool = False) -> Iterator[int]:
        """A descriptor of the bucket's own folder. Raises `OSError`, and `errors.Conflict` where it may not be."""
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
        try:
            # Links are followed here, as the folder that they lead to is judged. After that nobody can exchange it.
            fd = os.open(self.root, FOLDER & ~os.O_NOFOLLOW)
        except FileNotFoundError:
            if not make:
                raise
            return self._make_root()
        return fd if self._places is None else self._judged(self._places, fd)

    def _judged(self, places: bucket_places.BucketPlaces, fd: int) -> int:
        try:
            places.require_open(self.name, fd)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _make_root(self) -> int:
        """Make the folder and those above it that are missing, after judging the place where it is to be."""
        fd, missing = _nearest(self.root)
        try:
            if self._places is not None:
                place = Path(f"/proc/self/fd/{fd}").readlink().joinpath(*missing)
                self._places.require(self.name, str(place))
            for name in missing:
                inner = _step(fd, name, make=True)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _platform_error(self, error: OSError) -> errors.FaasError:
        reason = error.strerror or str(error)
        # A link (ELOOP) and a pipe or device (ENXIO) are no objects, and nobody is told that they are there.
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return errors.NotFound(f"no such object in bucket {self.name!r}", bucket=self.name)
        if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
            return errors.Conflict(f"a key of bucket {self.name!r} is both object and folder", bucket=self.name)
        if error.errno == errno.ENAMETOOLONG:
            return errors.BadRequest(f"bad object key: {reason}", bucket=self.name)
        if error.errno == errno.EFBIG:
            return errors.TooLarge(f"the object is too large for bucket {self.name!r}", bucket=self.name)
        return errors.Unavailable(f"bucket {self.name!r}: {reason}", bucket=self.name, hint="see `faas doctor`")


def _nearest(folder: Path) -> tuple[int, list[str]]:
    """A descriptor of what there is of the way to a folder, and the names that are missing behind it."""
    missing: list[str] = []
    for place in (folder, *folder.parents):
        with contextlib.suppress(FileNotFoundError):
            return os.open(place, FOLDER & ~os.O_NOFOLLOW), missing[::-1]
        missing.append(place.name)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))


def file_mode(folder: int) -> int:
    """The mode of a new file in an open folder: who may look into the folder may read it, and its owner may write."""
    return 0o600 | (os.fstat(folder).st_mode & 0o044)


def _step(folder: int, name: str, *, make: bool) -> int:
    """A descriptor of a folder in another one; one that is made is open to whom the other one is."""
    made = make and _made(folder, name)
    try:
        fd = os.open(name, FOLDER, dir_fd=folder)
    except NotADirectoryError:
        if make:
            raise
        # A file stands where a folder would be: below it there is nothing to be found.
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    if made:
        # Also its set-group-id bit (02000), by which people share folders of a group.
        os.fchmod(fd, 0o700 | (os.fstat(folder).st_mode & 0o2055))
    return fd


def _made(folder: int, name: str) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=folder)
    except FileExistsError:
        return False
    return True
