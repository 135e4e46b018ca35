"""What a journal holds, read from its files: when memory has no room for it, and after its writer has gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from runners.journal import format as form


class Left(msgspec.Struct, frozen=True):
    """What is in a journal from a mark on: the calls that began and did not end, and the position behind all of it."""

    running: tuple[form.Began, ...]
    end: int


class EndedCall(msgspec.Struct, frozen=True):
    """A call that has ended: the position behind its entry, its revision, and its record in msgpack."""

    end: int
    ref: str
    record: bytes


def left(folder: Path, mark: int) -> Left:
    """What a journal that was shipped up to ``mark`` holds still. Raises `OSError`."""
    running: dict[str, form.Began] = {}
    end = mark
    for one in _from(folder, mark):
        end = max(end, one.end)
        if one.is_end:
            running.pop(form.read_record(one.text).invocation_id, None)
        else:
            begun = form.read_began(one.text)
            running[begun.id] = begun
    return Left(tuple(running.values()), end)


def ended(folder: Path, mark: int, up_to: int, most_bytes: int) -> list[EndedCall]:
    """What has ended between two positions, as far as so many bytes of records go (one at least). Raises `OSError`."""
    found: list[EndedCall] = []
    size = 0
    for one in _from(folder, mark):
        if one.end > up_to or (found and size + len(one.text) > most_bytes):
            break
        if one.is_end and one.end > mark:
            record = form.read_record(one.text)
            found.append(EndedCall(one.end, f"{record.function}@{record.revision}", one.text))
            size += len(one.text)
    return found


def last_end(folder: Path, mark: int) -> int:
    """The position behind the last call that has ended, ``mark`` when none has since. Raises `OSError`."""
    return max((one.end for one in _from(folder, mark) if one.is_end), default=mark)


def _from(folder: Path, mark: int) -> Iterator[form.JournalEntry]:
    """The entries of the segment in which the mark lies, and of those after it."""
    kept = form.segments(folder)
    # Its head says what was running when it began, so no earlier one is needed.
    first = max((start for start, _ in kept if start <= mark), default=0)
    for start, path in kept:
        if start >= first:
            yield from form.entries(path.read_bytes(), start)
