"""Each object that lands in ``thumbs/`` is kept in ``archive/`` under its digest, with a line in the day's index.

Every step may run twice and leaves the same: the object is named by its content, and its index entry by day and digest
of its key. So a retried invocation archives nothing a second time, and invocations side by side share no file.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, BinaryIO
from urllib.parse import unquote_plus

CHUNK_BYTES = 1 << 20


def handler(event: dict[str, Any], context: Any) -> dict[str, list[str]]:
    archived = [archive(record, context) for record in event["Records"]]
    return {"archived": archived}


def archive(record: dict[str, Any], context: Any) -> str:
    day = record["eventTime"][:10]
    key = unquote_plus(record["s3"]["object"]["key"])
    name = record["s3"]["bucket"]["name"]
    print(json.dumps({"reading": f"{name}/{key}"}))
    bucket, target = context.bucket(name), context.bucket("archive")
    with bucket.open(key, "rb") as source:
        digest, size = measure(source)
        source.seek(0)
        kept = f"{day}/objects/{digest[:2]}/{digest}"
        with target.open(kept, "wb") as copy:
            while chunk := source.read(CHUNK_BYTES):
                copy.write(chunk)
    write_index_entry(target, day, {"key": key, "sha256": digest, "bytes": size, "object": kept})
    return kept


def measure(source: BinaryIO) -> tuple[str, int]:
    """SHA-256 and size in bytes of what is left to read."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def write_index_entry(target: Any, day: str, entry: dict[str, Any]) -> None:
    name = hashlib.sha256(entry["key"].encode()).hexdigest()
    with target.open(f"{day}/index/{name}.json", "wb") as file:
        file.write(json.dumps(entry, sort_keys=True).encode() + b"\n")
