"""What attempts add up to, and how it is written: as a part by whoever records, as a row by whoever merges parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from faas.core import model, sketches

MINUTE_MS = 60_000
_OK = model.Status.OK.value
_WARM = model.ColdStart.NONE.value
_RAN = frozenset(each.value for each in (model.Status.OK, model.Status.ERROR, model.Status.TIMEOUT, model.Status.OOM))
_encode = msgspec.msgpack.Encoder().encode

Flat = list[int]
"""A packed sketch (`faas.core.sketches`)."""


class Kind(NamedTuple):
    """What attempts of one function are told apart by. ``revision`` is 0 where functions are added up."""

    revision: int
    trigger: str
    status: str
    cold_start: str


class Group(msgspec.Struct, frozen=True, array_like=True):
    """What a batch of records adds: the attempts of one function and kind that ended in one minute since 1970."""

    minute: int
    function: str
    revision: int
    trigger: str
    status: str
    cold_start: str
    count: int
    billed_ms: int
    cost_pico: int
    duration: Flat
    queue: Flat
    init: Flat

    @property
    def kind(self) -> Kind:
        """Its kind."""
        return Kind(self.revision, self.trigger, self.status, self.cold_start)

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """What is exact: attempts, errors, cold starts, billed ms, cost."""
        errors, cold_starts = (0 if self.status == _OK else self.count), (0 if self.cold_start == _WARM else self.count)
        return self.count, errors, cold_starts, self.billed_ms, self.cost_pico


class _KindBody(msgspec.Struct, frozen=True, array_like=True):
    revision: int
    trigger: str
    status: str
    cold_start: str
    count: int
    billed_ms: int
    cost_pico: int
    duration: Flat
    queue: Flat
    init: Flat


_decode_part = msgspec.msgpack.Decoder(list[Group]).decode
_decode_kinds = msgspec.msgpack.Decoder(list[_KindBody]).decode
_decode_flats = msgspec.msgpack.Decoder(tuple[Flat, Flat, Flat]).decode


def group(minute: int, records: Sequence[model.Record]) -> Group:
    """What records of one function, kind and minute add."""
    first = records[0]
    status, cold_start = first.status._value_, first.cold_start._value_
    durations = [record.duration_us for record in records] if status in _RAN else []
    waits = [record.queue_ms for record in records]
    inits = [record.init_ms for record in records] if cold_start != _WARM else []
    return Group(
        minute,
        first.function,
        first.revision,
        first.trigger,
        status,
        cold_start,
        len(records),
        sum([record.billed_ms for record in records]),
        sum([record.cost_pico for record in records]),
        *[sketches.packed(sketches.of(values)) if values else [] for values in (durations, waits, inits)],
    )


def part(groups: Sequence[Group]) -> bytes:
    """A part: what one batch adds, as it waits to be merged."""
    return _encode(groups)


def groups(body: bytes) -> list[Group]:
    """What a part adds."""
    return _decode_part(body)


class Tally:
    """A sum that grows: counts, money and three sketches."""

    __slots__ = ("billed_ms", "cold_starts", "cost_pico", "count", "duration", "errors", "init", "queue")

    def __init__(self) -> None:
        self.count = self.errors = self.cold_starts = self.billed_ms = self.cost_pico = 0
        self.duration: sketches.Sketch = {}
        self.queue: sketches.Sketch = {}
        self.init: sketches.Sketch = {}

    def add_counts(self, count: int, errors: int, cold_starts: int, billed_ms: int, cost_pico: int) -> None:
        """Add what is exact."""
        self.count += count
        self.errors += errors
        self.cold_starts += cold_starts
        self.billed_ms += billed_ms
        self.cost_pico += cost_pico

    def add_flats(self, duration: Flat, queue: Flat, init: Flat) -> None:
        """Add packed sketches."""
        sketches.add(self.duration, duration)
        sketches.add(self.queue, queue)
        sketches.add(self.init, init)

    def add_kind(self, kind: Kind, count: int, billed_ms: int, cost_pico: int) -> None:
        """Add the counts of attempts of one kind."""
        errors, cold_starts = (0 if kind.status == _OK else count), (0 if kind.cold_start == _WARM else count)
        self.add_counts(count, errors, cold_starts, billed_ms, cost_pico)

    def add(self, other: Tally) -> None:
        """Add another sum."""
        self.add_counts(other.count, other.errors, other.cold_starts, other.billed_ms, other.cost_pico)
        for mine, its in zip(self._sketches(), other._sketches(), strict=True):
            for place, count in its.items():
                mine[place] = mine.get(place, 0) + count

    def copy(self) -> Tally:
        """The same, which grows by itself."""
        found = Tally()
        found.add_counts(self.count, self.errors, self.cold_starts, self.billed_ms, self.cost_pico)
        found.duration, found.queue, found.init = (dict(each) for each in self._sketches())
        return found

    def _sketches(self) -> tuple[sketches.Sketch, sketches.Sketch, sketches.Sketch]:
        return self.duration, self.queue, self.init

    def flats(self) -> tuple[Flat, Flat, Flat]:
        """Its sketches, packed."""
        return sketches.packed(self.duration), sketches.packed(self.queue), sketches.packed(self.init)


Kinds = dict[Kind, Tally]
"""The sums of one function and span of time, kind by kind."""


class Row(NamedTuple):
    """How `Kinds` are stored: sums and sketches of all kinds, and ``kinds`` in a column of their own."""

    count: int
    errors: int
    cold_starts: int
    billed_ms: int
    cost_pico: int
    sketches: bytes
    kinds: bytes


def add_group(kinds: Kinds, added: Group, *, by_revision: bool = True) -> None:
    """Add a group to the sums of its span. Where functions are added up, revisions say nothing."""
    kind = added.kind if by_revision else added.kind._replace(revision=0)
    tally = kinds.get(kind)
    if tally is None:
        tally = kinds[kind] = Tally()
    tally.add_kind(kind, added.count, added.billed_ms, added.cost_pico)
    tally.add_flats(added.duration, added.queue, added.init)


def row(kinds: Kinds) -> Row:
    """As it is stored."""
    total, is_single = Tally(), len(kinds) == 1
    bodies = []
    for kind, tally in sorted(kinds.items()):
        flats = tally.flats()
        total.add_kind(kind, tally.count, tally.billed_ms, tally.cost_pico)
        total.add_flats(*flats)
        # What one kind has is what all have: it would be written twice.
        kept: Iterable[Flat] = ([], [], []) if is_single else flats
        bodies.append(_KindBody(*kind, tally.count, tally.billed_ms, tally.cost_pico, *kept))
    sums = (total.count, total.errors, total.cold_starts, total.billed_ms, total.cost_pico)
    return Row(*sums, _encode(total.flats()), _encode(bodies))


def flats(body: bytes) -> tuple[Flat, Flat, Flat]:
    """The sketches of all kinds of a row: duration (µs), queue (ms), init (ms)."""
    return _decode_flats(body)


def kinds(all_sketches: bytes, body: bytes) -> Kinds:
    """The kinds of a row."""
    bodies = _decode_kinds(body)
    found: Kinds = {}
    for each in bodies:
        kind = Kind(each.revision, each.trigger, each.status, each.cold_start)
        tally = found[kind] = Tally()
        tally.add_kind(kind, each.count, each.billed_ms, each.cost_pico)
        tally.add_flats(*(flats(all_sketches) if len(bodies) == 1 else (each.duration, each.queue, each.init)))
    return found


def merge(into: Kinds, others: Mapping[Kind, Tally]) -> None:
    """Add sums to others, kind by kind. ``others`` stay as they are."""
    for kind, tally in others.items():
        held = into.get(kind)
        if held is None:
            into[kind] = tally.copy()
        else:
            held.add(tally)
