"""Places in buckets, as people write them: ``photos``, ``photos/in/``, ``photos/in/a.jpg``; ``photos:in/``, too."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

import msgspec

from faas.cli import client
from faas.core import errors

_PAGE = 10_000
_SPLIT = re.compile(r"[/:]")


class KeyPlace(msgspec.Struct, frozen=True):
    """A key of a bucket, or the start of many keys."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}"


def parse(text: str) -> KeyPlace:
    """The place that is meant; without a slash or a colon it is a whole bucket."""
    found = _SPLIT.search(text)
    if found is None:
        return KeyPlace(text, "")
    return KeyPlace(text[: found.start()], text[found.end() :])


def path(place: KeyPlace) -> str:
    """The path of an object in the control API. Raises `errors.BadRequest`."""
    try:
        return f"/buckets/{client.quote(place.bucket)}/{urllib.parse.quote(place.key)}"
    except UnicodeEncodeError as error:
        raise errors.BadRequest(f"{place.key!a} cannot be a key: it is not UTF-8", hint="rename the file") from error


def objects(api: client.Client, place: KeyPlace, most: int | None = None) -> Iterator[dict[str, Any]]:
    """The objects whose keys start so, in order; ``most`` of them. Raises `errors.NotFound` for no such bucket."""
    after: str | None = ""
    left = most
    while after is not None and left != 0:
        limit = _PAGE if left is None else min(_PAGE, left)
        page: dict[str, Any] = api.get(
            f"/buckets/{client.quote(place.bucket)}", prefix=place.key or None, after=after or None, limit=limit
        )
        yield from page["objects"]
        after = page["next"]
        left = None if left is None else left - len(page["objects"])
