"""What a sink of records is given at once: records that were read together, and the entries that brought them."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Sequence

import msgspec

from faas.core import model
from faas.core.values import unreadable

_encode = msgspec.msgpack.Encoder().encode
_record = msgspec.msgpack.Decoder(model.Record).decode
_printed = msgspec.msgpack.Decoder(model.Printed).decode
_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

Entry = tuple[bytes, Sequence[bytes] | None]
"""An entry's id, and its fields and values in turn; None when it has left the stream meanwhile."""


class Batch(msgspec.Struct):
    """Records that were read together, and the entries that brought them."""

    records: list[model.Record] = msgspec.field(default_factory=list)
    packed: list[bytes] = msgspec.field(default_factory=list)
    """The msgpack of each record, as it came."""
    printed: list[model.Printed] = msgspec.field(default_factory=list)
    """What sandboxes printed between attempts."""
    letters: dict[tuple[str, int], bytes] = msgspec.field(default_factory=dict)
    """The invocations (msgpack) of the dead ones among them, by id and attempt."""
    entries: list[str] = msgspec.field(default_factory=list)
    sizes: list[int] = msgspec.field(default_factory=list)
    owners: list[list[str | int]] = msgspec.field(default_factory=list)
    """Whose the records of each entry are: each function with its bytes in turn."""
    missed: int = 0
    """Entries among them that had left the stream before this sink came to them."""
    more: bool = False
    """Whether others wait already."""

    def add(self, entry: bytes, fields: Sequence[bytes] | None) -> None:
        """Take what an entry holds. Raises `Unreadable`, and takes nothing then."""
        values = _values(fields or ())
        first = len(self.records)
        if fields is None:
            self.missed += 1
        elif b"b" in values:
            found, packed = _unpacked(values[b"b"])
            self.records += found
            self.packed += packed
        elif b"o" in values:
            self.printed.append(_printed_of(values[b"o"]))
        else:
            self._add_one(values)
        # Also when it has left: a group has an entry among its pending ones until it is called done.
        self.entries.append(entry.decode())
        size = sum(map(len, values.values()))
        self.sizes.append(size)
        self.owners.append(self._owners(first, size))

    def _owners(self, first: int, size: int) -> list[str | int]:
        """Whose the records from ``first`` on are; the head of an array, and a dead letter, are the first one's."""
        functions = {record.function for record in self.records[first:]}
        if len(functions) <= 1:
            return [part for function in functions for part in (function, size)]
        sizes: collections.Counter[str] = collections.Counter({self.records[first].function: size})
        for record, packed in zip(self.records[first + 1 :], self.packed[first + 1 :], strict=True):
            sizes[self.records[first].function] -= len(packed)
            sizes[record.function] += len(packed)
        return [part for share in sizes.items() for part in share]

    def _add_one(self, values: dict[bytes, bytes]) -> None:
        try:
            record = _record(values[b"r"])
        except (*unreadable.ERRORS, KeyError) as error:
            raise Unreadable(str(error)) from error
        self.records.append(record)
        self.packed.append(values[b"r"])
        if record.dead and b"i" in values:
            self.letters[record.invocation_id, record.attempt] = values[b"i"]


def _values(fields: Sequence[bytes]) -> dict[bytes, bytes]:
    if len(fields) == 2:  # as nearly all; what serves for any number takes longer than decoding the record
        return {fields[0]: fields[1]}
    return dict(zip(fields[::2], fields[1::2], strict=True))


class Unreadable(Exception):
    """An entry holds what is no record. ``halves`` are what of it can be read and what cannot, as msgpack arrays."""

    def __init__(self, reason: str, halves: tuple[bytes, ...] = ()) -> None:
        super().__init__(reason)
        self.halves = halves


def _printed_of(packed: bytes) -> model.Printed:
    try:
        return _printed(packed)
    except unreadable.ERRORS as error:
        raise Unreadable(str(error)) from error


def _unpacked(array: bytes) -> tuple[list[model.Record], list[bytes]]:
    try:
        # Only cut into parts at first: one record that cannot be read must not cost the others.
        parts = _parts(array)
    except unreadable.ERRORS as error:
        raise Unreadable(str(error)) from error
    try:
        return [_record(part) for part in parts], [bytes(part) for part in parts]
    except unreadable.ERRORS as error:
        raise _halved(parts, error) from error


def _halved(parts: Iterable[msgspec.Raw], error: Exception) -> Unreadable:
    good: list[msgspec.Raw] = []
    bad: list[msgspec.Raw] = []
    for part in parts:
        (good if _is_record(part) else bad).append(part)
    return Unreadable(str(error), (_encode(good), _encode(bad)) if good else ())


def _is_record(part: msgspec.Raw) -> bool:
    try:
        _record(part)
    except unreadable.ERRORS:
        return False
    return True
