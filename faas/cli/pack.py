"""A function's source folder as one tar: the same files always give the same bytes.

Names are sorted; owners and times are left out. A link is followed, so that what is sent is whole, when it leads to a
place in the source or its project; one that leads elsewhere is refused, as it may lead to anything that the person who
deploys can read. What no function needs or nobody means to send is left out (`faas.cli.left_out`), as are the
platform's data directory, the project's buckets, and its manifest: a change to that is a change to the functions that
it concerns, not to the code of all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from faas.cli import left_out
from faas.core import errors


class AllowedPlaces(NamedTuple):
    """Where a packed file may really be, and where not; places without links."""

    within: tuple[Path, ...]
    leave_out: frozenset[str]

    def check(self, path: Path, place: str) -> None:
        """Raise `errors.BadRequest` when ``path``, which really is ``place``, leads out of the project."""
        if not any(Path(place).is_relative_to(each) for each in self.within):
            raise errors.BadRequest(
                f"source: {path} is a link that leaves the project: it leads to {place}",
                hint="put a copy of it into the project, or leave it out",
            )


def pack(
    folder: Path, out: IO[bytes], *, leave_out: Iterable[Path], max_bytes: int, project: Path | None = None
) -> dict[str, list[str]]:
    """Write the folder's files to ``out``, without the folders and files to ``leave_out``; what else was left out.

    Links may lead to what is in the folder or in ``project``. Raises `errors.BadRequest` for a link that leads
    elsewhere and for what cannot be read, `errors.TooLarge` past ``max_bytes`` and `errors.Unavailable` when ``out``
    has no room.
    """
    if not folder.is_dir():
        raise errors.BadRequest(f"source: {folder} is no folder")
    within = tuple(Path(os.path.realpath(each)) for each in (folder, project) if each is not None)
    bounds = AllowedPlaces(within, frozenset(map(os.path.realpath, leave_out)))
    sizes: Counter[str] = Counter()
    verdicts = left_out.Verdicts(folder, project)
    # The form that has room for names of any length, and is the same whichever Python writes it.
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, name in _files(folder, bounds, verdicts):
            with _opened(path, bounds) as file:
                info = _entry(file, name)
                sizes[name.partition("/")[0]] += info.size + tarfile.BLOCKSIZE
                if sizes.total() > max_bytes:
                    raise _too_large(folder, sizes, max_bytes)
                _add(tar, info, file, path)
    return verdicts.found


def _files(folder: Path, bounds: AllowedPlaces, verdicts: left_out.Verdicts) -> Iterator[tuple[Path, str]]:
    found: list[tuple[str, Path]] = []
    for at, folders, files in os.walk(folder, followlinks=True, onerror=_unreadable):
        here = Path(at)
        above = _above(folder, here)
        folders[:] = [
            name
            for name in sorted(folders)
            if not _is_left_out(here / name, bounds)
            and verdicts.reason(here / name, is_folder=True) is None
            and _is_below(here / name, above, bounds)
        ]
        for name in files:
            path = here / name
            if _counts(path, bounds) and verdicts.reason(path, is_folder=False) is None:
                found.append((path.relative_to(folder).as_posix(), path))
    # By the whole name: the order of a walk is that of the file system.
    for name, path in sorted(found):
        yield path, name


def _is_left_out(path: Path, bounds: AllowedPlaces) -> bool:
    return os.path.realpath(path) in bounds.leave_out


def _above(folder: Path, here: Path) -> list[str]:
    """The real places of the folders that the walk went through to get here, and of those that hold them."""
    way = [here, *(parent for parent in here.parents if parent.is_relative_to(folder))]
    return [os.path.realpath(place) for place in way]


def _is_below(path: Path, above: list[str], bounds: AllowedPlaces) -> bool:
    """Whether to go into a folder: not when a link leads back to where we come from."""
    target = os.path.realpath(path)
    bounds.check(path, target)
    # Else a link to the folder above it would be followed until the path is too long.
    return all(os.path.commonpath([target, place]) != target for place in above)


def _counts(path: Path, bounds: AllowedPlaces) -> bool:
    """Whether it is a file, perhaps behind a link. A link to nothing counts: it is an error, which reading it tells."""
    if _is_left_out(path, bounds):
        return False
    return path.is_file() or (path.is_symlink() and not path.exists())


@contextlib.contextmanager
def _opened(path: Path, bounds: AllowedPlaces) -> Iterator[IO[bytes]]:
    """The file, open, once it is known to be where it may be: a link may have been exchanged since it was found."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        bounds.check(path, os.path.realpath(path))
        raise _cannot_read(path, error) from error
    with os.fdopen(descriptor, "rb") as file:
        # Of what is open, which nobody can exchange any more.
        bounds.check(path, str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        yield file


def _too_large(folder: Path, sizes: Counter[str], max_bytes: int) -> errors.TooLarge:
    largest = ", ".join(f"{name} {size / 1024 / 1024:.1f} MB" for name, size in sizes.most_common(3))
    return errors.TooLarge(
        f"source: {folder} is over {max_bytes / 1024 / 1024:.1f} MB; so far: {largest}",
        hint="keep data in a bucket, or raise max_source_bytes",
        limit=max_bytes,
    )


def _entry(file: IO[bytes], name: str) -> tarfile.TarInfo:
    status = os.fstat(file.fileno())
    info = tarfile.TarInfo(name)
    info.size = status.st_size
    # Whoever deploys from another machine, with another umask, makes the same bytes.
    info.mode = 0o755 if status.st_mode & 0o100 else 0o644
    return info


def _add(tar: tarfile.TarFile, info: tarfile.TarInfo, file: IO[bytes], path: Path) -> None:
    try:
        tar.addfile(info, file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.Unavailable(
                "no space left to pack the source", hint="TMPDIR may name a roomier disk"
            ) from error
        raise _cannot_read(path, error) from error


def _unreadable(error: OSError) -> None:
    raise _cannot_read(Path(error.filename), error) from error


def _cannot_read(path: Path, error: OSError) -> errors.BadRequest:
    return errors.BadRequest(f"source: {path} cannot be read: {error.strerror or error}")
