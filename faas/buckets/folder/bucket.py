"""One bucket as a folder, whose objects are its files.

Names that start with a dot are not objects; objects on their way in have such names for an instant.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from faas.buckets import keys, objects, port
from faas.buckets.folder import completeness, feed, files, listing, passing, publishing, stamps, unfit, walks
from faas.buckets.folder import tree as trees
from faas.core import bucket_places

_OBJECT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class BucketFolder:
    """The objects of one folder; a `port.Bucket`.

    A folder, a link and a device are no objects. One key cannot be an object and the folder of others
    (`errors.Conflict`). ``kept`` holds walks between two pages; adapters may share it. ``places`` judges where the
    folder really is, each time that it is opened; what it refuses is an `errors.Conflict` too.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        kept: walks.Walks | None = None,
        places: bucket_places.BucketPlaces | None = None,
    ) -> None:
        self.name = name
        self.root = root
        self._tree = trees.Tree(name, root, places)
        self._kept = kept if kept is not None else walks.Walks()

    def __repr__(self) -> str:
        return f"BucketFolder({self.name!r}, {str(self.root)!r})"

    def open(self, key: str) -> files.FileReading:
        """See `port.Bucket.open`."""
        with self._tree.translated():
            return files.FileReading(self._tree, self._open_file(key), key)

    def begin(self, key: str) -> files.FileWriting:
        """See `port.Bucket.begin`."""
        keys.split_key(key)
        with self._tree.translated(), self._tree.opened_root(make=True) as root:
            return files.FileWriting(self._tree, publishing.unnamed_file(root), key)

    def delete(self, key: str) -> None:
        """See `port.Bucket.delete`. The object's folders stay."""
        with self._tree.translated(), self._tree.opened_folder_of(key) as (folder, name):
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise self._tree.missing(key)
            os.unlink(name, dir_fd=folder)

    def stat(self, key: str) -> objects.Object:
        """See `port.Bucket.stat`."""
        with self._tree.translated():
            fd = self._open_file(key)
            try:
                return stamps.object_of(key, os.fstat(fd))
            finally:
                os.close(fd)

    def list(self, prefix: str = port.EVERYTHING, after: str = "", limit: int = port.PAGE) -> list[objects.Object]:
        """See `port.Bucket.list`."""
        with self._tree.translated():
            try:
                with self._tree.opened_root() as root:
                    return _page(self._kept, walks.WalkPlace(self.root, prefix, after), root, max(limit, 0))
            except FileNotFoundError:  # a bucket whose folder nobody has made yet is empty
                return []

    def look(self, key: str, sign: port.Sign) -> port.Found:
        """See `port.Bucket.look`."""
        with self._tree.translated():
            fd = self._open_file(key)
            try:
                return completeness.look(fd, key, sign)
            finally:
                os.close(fd)

    def watch(self, wake: Callable[[], None]) -> feed.FolderFeed:
        """See `port.Bucket.watch`. The folder is made when it is not there."""
        return feed.FolderFeed(self._tree, wake)

    def unfit(self) -> Iterator[port.Unfit]:
        """See `port.Bucket.unfit`."""
        with self._tree.translated():
            try:
                with self._tree.opened_root() as root:
                    yield from unfit.found(root)
            except FileNotFoundError:
                return

    def sweep(self) -> int:
        """See `port.Bucket.sweep`."""
        with self._tree.translated():
            try:
                with self._tree.opened_root() as root:
                    return passing.sweep(root)
            except FileNotFoundError:
                return 0

    def _open_file(self, key: str) -> int:
        with self._tree.opened_folder_of(key) as (folder, name):
            # O_NONBLOCK is for pipes and devices, which are no objects: opening one may wait for ever.
            fd = os.open(name, _OBJECT, dir_fd=folder)
        # Asked of what is open: what a name stands for may change between a look and an open.
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise self._tree.missing(key)


def _page(kept: walks.Walks, place: walks.WalkPlace, root: int, limit: int) -> list[objects.Object]:
    """The next objects from a place on, by the walk that rests there or by a new one. Raises `OSError`."""
    walk = kept.take(place, root) or listing.Walk(root, place.prefix, place.after)
    try:
        found = walk.page(limit)
    finally:
        walk.close()
    # Who asks for one object looks it up, and asks for no next page.
    if 1 < limit == len(found) and walk.may_rest:
        # The last line that touches the walk: from here on another thread may have it.
        kept.keep(place._replace(after=found[-1].key), walk)
    return found
