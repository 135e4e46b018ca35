"""Buckets: folders whose keys cannot lead out of them, and whose objects are seen whole or not at all."""

from faas.buckets.folder import PAGE, BucketFolder, bucket_root
from faas.buckets.keys import MAX_KEY_BYTES, MAX_NAME_BYTES, split_key
from faas.buckets.objects import Object, object_of, version_of
from faas.buckets.publishing import DEPTH_ATTRIBUTE, LINEAGE_ATTRIBUTE, PUBLISHED_ATTRIBUTE, Writer

__all__ = [
    "DEPTH_ATTRIBUTE",
    "LINEAGE_ATTRIBUTE",
    "MAX_KEY_BYTES",
    "MAX_NAME_BYTES",
    "PAGE",
    "PUBLISHED_ATTRIBUTE",
    "BucketFolder",
    "Object",
    "Writer",
    "bucket_root",
    "object_of",
    "split_key",
    "version_of",
]
