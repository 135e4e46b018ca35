"""`faas logs --export`: all lines that fit, a JSON object each, into a file (whole or not at all) or a bucket."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import msgspec

from faas.cli import client, cp, output, places, transfer, written
from faas.core import errors

Pages = Iterable[dict[str, Any]]


def write(api: client.Client, target: str, pages: Callable[[], Pages]) -> None:
    """Write the lines of all pages to a file, to ``bucket:key``, or to stdout (``-``).

    Raises `errors.BadRequest` for a file that cannot be written.
    """
    there = cp.parse(target)
    if target == "-":
        _pour(pages(), sys.stdout.buffer, target)
        sys.stdout.buffer.flush()
        return
    if there is None:
        count = _to_file(Path(target), pages)
    else:
        # Into a file first: the bucket is told how much comes, so that what is cut short becomes no object.
        with tempfile.TemporaryFile() as file:
            count = _pour(pages(), file, target)
            size = file.tell()
            file.seek(0)
            path = places.path(places.KeyPlace(there.bucket, there.key))
            api.send("PUT", path, body=file, headers={"Content-Length": str(size)})
    output.say(f"{count} lines -> {target}")


def _to_file(path: Path, pages: Callable[[], Pages]) -> int:
    try:
        with written.whole(path) as file:
            return _pour(pages(), file, str(path))
    except OSError as error:
        raise errors.BadRequest(f"{path}: {error.strerror or error}") from error


def _pour(pages: Pages, file: IO[bytes], name: str) -> int:
    """Write lines as they come; how many these were."""
    count = 0
    with transfer.Transfer(name, None) as passed:
        for page in pages:
            some = b"".join(msgspec.json.encode(line) + b"\n" for line in page["lines"])
            file.write(some)
            passed.add(len(some))
            count += len(page["lines"])
    return count
