"""Buckets and their objects."""

from __future__ import annotations

import msgspec

from faas.core import model


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a bucket. ``version`` changes with its content, and ``etag`` with the version."""

    key: str
    size_bytes: int
    modified_ms: int
    etag: str
    version: str


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket. ``path`` is its folder, null for one in the data directory.

    ``functions`` may use it, each as it says, and ``triggers`` are the functions that its uploads run.
    """

    name: str
    path: str | None
    functions: dict[str, model.Access]
    triggers: tuple[str, ...]


class BucketList(msgspec.Struct, frozen=True):
    """All buckets, by name."""

    buckets: tuple[Bucket, ...]


class ObjectList(msgspec.Struct, frozen=True, kw_only=True):
    """Objects in the order of keys. ``next``, unless null, goes into ``after`` of the request for what follows."""

    objects: tuple[Object, ...]
    next: str | None
