"""What one file of a bucket is as an object; pure functions."""

from __future__ import annotations

import hashlib
import os

import msgspec


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
