"""Buckets: a port for whatever holds objects, and its adapters; keys cannot lead out, objects are seen whole or not."""

from faas.buckets.keys import MAX_KEY_BYTES, MAX_NAME_BYTES, split_key
from faas.buckets.objects import Object
from faas.buckets.opening import Known, Open, opener
from faas.buckets.port import (
    EVERYTHING,
    LARGEST_PAGE,
    PAGE,
    Bucket,
    Changes,
    Feed,
    Found,
    Reading,
    Sign,
    Unfit,
    Writer,
    Writing,
    put,
)

__all__ = [
    "EVERYTHING",
    "LARGEST_PAGE",
    "MAX_KEY_BYTES",
    "MAX_NAME_BYTES",
    "PAGE",
    "Bucket",
    "Changes",
    "Feed",
    "Found",
    "Known",
    "Object",
    "Open",
    "Reading",
    "Sign",
    "Unfit",
    "Writer",
    "Writing",
    "opener",
    "put",
    "split_key",
]
