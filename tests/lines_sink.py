"""A sink that is not the ledger: each record is a line of JSON in a file, as an exporter would write it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from faas.core import errors, model
from faas.queue import batches


class Line(msgspec.Struct, frozen=True):
    """What a line holds of a record."""

    invocation_id: str
    attempt: int
    status: str


class LinesSink:
    """Appends to a file, and knows by the lines that are there what it has: a replay adds none."""

    def __init__(self, path: Path, name: str = "lines", *, may_miss: bool = False) -> None:
        self.name = name
        self.may_miss = may_miss
        self.path = path
        self._known: set[tuple[str, int]] = set()

    def open(self) -> None:
        """Read what is there; a line that its writer did not end is cut."""
        try:
            with self.path.open("ab+") as file:
                file.seek(0)
                whole = file.read()
                whole = whole[: whole.rfind(b"\n") + 1]
                file.truncate(len(whole))
        except OSError as error:
            raise errors.Unavailable(f"{self.path}: {error.strerror}") from error
        self._known = {(line.invocation_id, line.attempt) for line in map(_decode, whole.splitlines())}

    def commit(self, batch: batches.Batch) -> None:
        """Append what is new, and wait for the disk."""
        new = {(record.invocation_id, record.attempt): record for record in batch.records}
        fresh = [record for key, record in new.items() if key not in self._known]
        try:
            with self.path.open("ab") as file:
                file.writelines(_line(record) for record in fresh)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.open()
            raise errors.Unavailable(f"{self.path}: {error.strerror}") from error
        self._known |= set(new)

    def close(self) -> None:
        """Nothing is held open."""
        self._known = set()

    def keys(self) -> list[tuple[str, int]]:
        """The records that are there, in order."""
        lines = map(_decode, self.path.read_bytes().splitlines()) if self.path.exists() else ()
        return [(line.invocation_id, line.attempt) for line in lines]


def _line(record: model.Record) -> bytes:
    return msgspec.json.encode(Line(record.invocation_id, record.attempt, record.status.value)) + b"\n"


def _decode(line: bytes) -> Line:
    return msgspec.json.decode(line, type=Line)
