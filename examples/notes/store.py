"""Notes as objects of a bucket: one JSON object each, named by an id that sorts by time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pydantic import BaseModel

SHOWN = 100


class Note(BaseModel):
    """One note; ``written`` is ISO 8601 in UTC."""

    id: str
    text: str
    written: str


class Notes:
    """All notes. Other invocations may add and delete some at any moment."""

    def __init__(self, bucket: Any) -> None:
        self._bucket = bucket

    def newest(self) -> list[Note]:
        """The newest notes first, at most `SHOWN` of them."""
        return list(islice(self._read(), SHOWN))

    def add(self, id: str, text: str) -> Note:
        """Keep a note; one of the same id is replaced."""
        note = Note(id=id, text=text, written=datetime.now(UTC).isoformat(timespec="seconds"))
        with self._bucket.open(key(id), "w") as file:
            file.write(note.model_dump_json())
        return note

    def delete(self, id: str) -> bool:
        """Whether there was such a note."""
        try:
            self._bucket.delete(key(id))
        except FileNotFoundError:
            return False
        return True

    def _read(self) -> Iterator[Note]:
        for found in reversed(list(self._bucket.list())):
            try:
                with self._bucket.open(found.key, "r") as file:
                    yield Note(**json.load(file))
            except FileNotFoundError:
                continue  # deleted since it was listed


def key(id: str) -> str:
    """The object of a note."""
    return f"{id}.json"
