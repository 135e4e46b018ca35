"""What attempts add up to, and how it is written: as a part by whoever records, as a row by whoever merges parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from faas.core import model, sketches, slowest

MINUTE_MS = 60_000
_OK = model.Status.OK.value
_WARM = model.ColdStart.NONE.value
_RAN = frozenset(each.value for each in (model.Status.OK, model.Status.ERROR, model.Status.TIMEOUT, model.Status.OOM))
_encode = msgspec.msgpack.Encoder().encode

Flat = list[int]
"""A packed sketch (`faas.core.sketches`)."""


Short = int | list[int] | None
"""The same as parts have it: of one attempt just its bin, None of none."""


class RecordKind(NamedTuple):
    """What attempts of one function are told apart by. ``revision`` is 0 where functions are added up."""

    revision: int
    trigger: str
    status: str
    cold_start: str


GroupKey = tuple[int, str, int, str, str, str]
"""Minute, function and kind."""


class TallyGroup(msgspec.Struct, frozen=True, array_like=True, gc=False):
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
    duration: Short
    queue: Short
    init: Short

    @property
    def kind(self) -> RecordKind:
        """What these attempts are told apart by."""
        return RecordKind(self.revision, self.trigger, self.status, self.cold_start)

    @property
    def counts(self) -> Counts:
        """What is exact of it."""
        errors, cold_starts = (0 if self.status == _OK else self.count), (0 if self.cold_start == _WARM else self.count)
        return self.count, errors, cold_starts, self.billed_ms, self.cost_pico

    @property
    def flats(self) -> tuple[Flat, Flat, Flat]:
        """Its sketches: duration, queue, init."""
        return _lengthened(self.duration), _lengthened(self.queue), _lengthened(self.init)


class _KindBody(msgspec.Struct, frozen=True, array_like=True, gc=False):
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


_decode_part = msgspec.msgpack.Decoder(list[TallyGroup]).decode
_decode_kinds = msgspec.msgpack.Decoder(list[_KindBody]).decode
_decode_first = msgspec.msgpack.Decoder(tuple[Flat, msgspec.Raw, msgspec.Raw]).decode
_decode_flats = msgspec.msgpack.Decoder(tuple[Flat, Flat, Flat]).decode


def group(minute: int, records: Sequence[model.Record]) -> TallyGroup:
    """What records of one function, kind and minute add."""
    first, count = records[0], len(records)
    if count == 1:  # as nearly all, where a batch is of many functions
        return _group_of_one(minute, first)
    status, cold_start = first.status._value_, first.cold_start._value_
    flats: list[Flat] = [[], [], []]
    if status in _RAN:
        flats[0] = _flat([record.duration_us for record in records])
    flats[1] = _flat([record.queue_ms for record in records])
    if cold_start != _WARM:
        flats[2] = _flat([record.init_ms for record in records])
    return TallyGroup(
        minute,
        first.function,
        first.revision,
        first.trigger,
        status,
        cold_start,
        count,
        sum([record.billed_ms for record in records]),
        sum([record.cost_pico for record in records]),
        *flats,
    )


def _group_of_one(minute: int, record: model.Record) -> TallyGroup:
    status, cold_start = record.status._value_, record.cold_start._value_
    return TallyGroup(
        minute,
        record.function,
        record.revision,
        record.trigger,
        status,
        cold_start,
        1,
        record.billed_ms,
        record.cost_pico,
        sketches.bin_of(record.duration_us) if status in _RAN else None,
        sketches.bin_of(record.queue_ms),
        sketches.bin_of(record.init_ms) if cold_start != _WARM else None,
    )


def _lengthened(short: Short) -> Flat:
    return [short, 1] if isinstance(short, int) else short or []


def _add_short(into: sketches.Sketch, short: Short) -> None:
    if isinstance(short, int):
        into[short] = into.get(short, 0) + 1
    elif short:
        sketches.add(into, short)


def _flat(values: list[int]) -> Flat:
    return sketches.packed(sketches.of(values))


def part(groups: Sequence[TallyGroup]) -> bytes:
    """A part: what one batch adds, as it waits to be merged."""
    return _encode(groups)


def groups(body: bytes) -> list[TallyGroup]:
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
        if duration:
            sketches.add(self.duration, duration)
        if queue:
            sketches.add(self.queue, queue)
        if init:
            sketches.add(self.init, init)

    def add_kind(self, kind: RecordKind, count: int, billed_ms: int, cost_pico: int) -> None:
        """Add the counts of attempts of one kind."""
        errors, cold_starts = (0 if kind.status == _OK else count), (0 if kind.cold_start == _WARM else count)
        self.add_counts(count, errors, cold_starts, billed_ms, cost_pico)

    def add(self, other: Tally) -> None:
        """Add another sum."""
        self.add_counts(other.count, other.errors, other.cold_starts, other.billed_ms, other.cost_pico)
        for mine, its in zip(self._sketches(), other._sketches(), strict=True):
            if not mine:
                mine.update(its)
                continue
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

    @property
    def counts(self) -> Counts:
        """What is exact of it."""
        return self.count, self.errors, self.cold_starts, self.billed_ms, self.cost_pico

    def flats(self) -> tuple[Flat, Flat, Flat]:
        """The sketches of durations and waits, packed."""
        return sketches.packed(self.duration), sketches.packed(self.queue), sketches.packed(self.init)


Kinds = dict[RecordKind, Tally]
"""The sums of one function and span of time, kind by kind."""


Counts = tuple[int, int, int, int, int]
"""What is exact: attempts, errors, cold starts, billed ms, cost."""

KindsRow = tuple[int, int, int, int, int, bytes, bytes, bytes]
"""How `Kinds` are stored: the counts and the sketches of all kinds, the kinds in a column of their own, and the upper
end of the durations."""


def by_kind(groups: Iterable[TallyGroup]) -> dict[tuple[int, str, RecordKind], Tally]:
    """The sums of groups of the same minute, function and kind."""
    held: dict[GroupKey, Tally] = {}
    for each in groups:
        key = (each.minute, each.function, each.revision, each.trigger, each.status, each.cold_start)
        tally = held.get(key)
        if tally is None:
            tally = held[key] = Tally()
        count = each.count
        tally.count += count
        tally.billed_ms += each.billed_ms
        tally.cost_pico += each.cost_pico
        if each.status != _OK:
            tally.errors += count
        if each.cold_start != _WARM:
            tally.cold_starts += count
        _add_short(tally.duration, each.duration)
        _add_short(tally.queue, each.queue)
        if each.init is not None:
            _add_short(tally.init, each.init)
    return {(key[0], key[1], RecordKind(*key[2:])): tally for key, tally in held.items()}


def of_all(functions: Iterable[Kinds]) -> Kinds:
    """The sums of all functions, kind by kind. Their revisions say nothing there."""
    found: Kinds = {}
    of: dict[RecordKind, Tally] = {}
    for kinds in functions:
        for kind, tally in kinds.items():
            held = of.get(kind)
            if held is None:
                held = of[kind] = found.setdefault(kind._replace(revision=0), Tally())
            held.add(tally)
    return found


def row(kinds: Kinds) -> KindsRow:
    """As it is stored."""
    if len(kinds) == 1:
        # What one kind has is what all have: it would be written twice.
        ((kind, total),) = kinds.items()
        bodies = [_KindBody(*kind, total.count, total.billed_ms, total.cost_pico, [], [], [])]
    else:
        total, bodies = Tally(), []
        for kind, tally in sorted(kinds.items()):
            total.add(tally)
            bodies.append(_KindBody(*kind, tally.count, tally.billed_ms, tally.cost_pico, *tally.flats()))
    flats = total.flats()
    return (*total.counts, _encode(flats), _encode(bodies), slowest.upper_end(flats[0]))


def flats(body: bytes) -> tuple[Flat, Flat, Flat]:
    """The sketches of all kinds of a row: duration (µs), queue (ms), init (ms)."""
    return _decode_flats(body)


def durations(body: bytes) -> Flat:
    """The first of these alone, which takes a third of the time."""
    return _decode_first(body)[0]


def kinds(all_sketches: bytes, body: bytes) -> Kinds:
    """The kinds of a row."""
    bodies = _decode_kinds(body)
    found: Kinds = {}
    for each in bodies:
        kind = RecordKind(each.revision, each.trigger, each.status, each.cold_start)
        tally = found[kind] = Tally()
        tally.add_kind(kind, each.count, each.billed_ms, each.cost_pico)
        tally.add_flats(*(flats(all_sketches) if len(bodies) == 1 else (each.duration, each.queue, each.init)))
    return found


def merge(into: Kinds, others: Mapping[RecordKind, Tally]) -> None:
    """Add sums to others, kind by kind. ``others`` stay as they are."""
    for kind, tally in others.items():
        held = into.get(kind)
        if held is None:
            into[kind] = tally.copy()
        else:
            held.add(tally)
