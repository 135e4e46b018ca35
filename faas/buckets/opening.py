"""Which adapter holds a bucket: the one place that knows the kinds of buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from faas.buckets import port
from faas.buckets.folder import bucket as folder_bucket
from faas.buckets.folder import walks
from faas.core import bucket_places, groups, model

Open = Callable[[model.Bucket], port.Bucket]
"""What makes the adapter of a declared bucket. Making it touches nothing and does not fail."""


def opener(data: groups.Data) -> Open:
    """The adapters of a platform: the folder that a bucket names, or one of its own in the data directory.

    Another kind of bucket is another branch here, on another field of the declaration.
    """
    kept = walks.Walks()
    places = bucket_places.BucketPlaces(data)

    def open_bucket(declared: model.Bucket) -> port.Bucket:
        folder = Path(declared.path) if declared.path is not None else bucket_places.of_its_own(data, declared.name)
        return folder_bucket.BucketFolder(declared.name, folder, kept, places)

    return open_bucket


class Known:
    """The buckets that are declared now. Each keeps its adapter for as long as its declaration stays the same."""

    def __init__(self, open_bucket: Open) -> None:
        self._open = open_bucket
        self._declared: dict[str, tuple[model.Bucket, port.Bucket]] = {}

    def adopt(self, declared: Iterable[model.Bucket]) -> None:
        """Take the buckets that are declared from now on."""
        before = self._declared
        self._declared = {each.name: self._of(each, before) for each in declared}

    def _of(
        self, declared: model.Bucket, before: dict[str, tuple[model.Bucket, port.Bucket]]
    ) -> tuple[model.Bucket, port.Bucket]:
        held = before.get(declared.name)
        return held if held is not None and held[0] == declared else (declared, self._open(declared))

    def find(self, name: str) -> port.Bucket | None:
        """A bucket by its name."""
        held = self._declared.get(name)
        return held[1] if held is not None else None

    def sweep(self) -> int:
        """Remove what killed processes left in them; how many. Blocks. Raises `errors.Unavailable`."""
        return sum(bucket.sweep() for _, bucket in list(self._declared.values()))
