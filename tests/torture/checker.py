"""What must be true at the end, checked over facts that were collected from outside. Pure."""

from __future__ import annotations

import collections
import datetime
from collections.abc import Iterator, Mapping, Sequence

import msgspec


class Attempt(msgspec.Struct, frozen=True):
    """A record of the ledger, as far as it is checked."""

    invocation_id: str
    attempt: int
    function: str
    trigger: str
    status: str
    is_final: bool
    billed_ms: int
    accepted_at_ms: int
    ended_at_ms: int
    duration_ms: int


class Run(msgspec.Struct, frozen=True):
    """Evidence that a handler left in a bucket; ``due`` is a timer's time, ``key`` an uploaded object's."""

    invocation_id: str
    function: str
    due: str
    key: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen. ``answered`` maps ids of sync calls to their HTTP status, ``accepted`` are ids of 202s.

    ``totals`` are attempts and billed milliseconds as the running totals have them; ``leftovers`` are lines about what
    ought to have gone.
    """

    accepted: frozenset[str]
    answered: Mapping[str, int]
    uploaded: frozenset[str]
    attempts: tuple[Attempt, ...]
    runs: tuple[Run, ...]
    totals: tuple[int, int]
    drifts: Mapping[str, int]
    unsettled: int
    every_s: int
    leftovers: tuple[str, ...] = ()


class Violation(msgspec.Struct, frozen=True):
    """A promise that was not kept, and by which invocation, if by one."""

    what: str
    invocation_id: str = ""


def check(facts: Facts) -> tuple[Violation, ...]:
    """Every promise that was broken."""
    parts = (_final, _attempts, _ran, _uploads, _timers, _sums)
    return tuple(violation for part in parts for violation in part(facts))


def _by_id(facts: Facts) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = collections.defaultdict(list)
    for each in facts.attempts:
        found[each.invocation_id].append(each)
    return found


def _final(facts: Facts) -> Iterator[Violation]:
    """What was accepted has one final state; what was answered well was recorded."""
    known = _by_id(facts)
    for id in sorted(facts.accepted | set(facts.answered)):
        finals = sum(each.is_final for each in known.get(id, ()))
        if finals != 1:
            yield Violation(f"accepted, with {finals} final states", id)
    for id, attempts in known.items():
        if id not in facts.accepted and id not in facts.answered and sum(each.is_final for each in attempts) != 1:
            yield Violation("recorded, without one final state", id)


def _attempts(facts: Facts) -> Iterator[Violation]:
    """Attempts count from 1 without gaps, each once, and the last one is the final one."""
    for id, attempts in _by_id(facts).items():
        ordered = sorted(attempts, key=lambda each: each.attempt)
        if [each.attempt for each in ordered] != list(range(1, len(ordered) + 1)):
            yield Violation(f"attempts {[each.attempt for each in ordered]}", id)
        if any(each.is_final for each in ordered[:-1]):
            yield Violation("an attempt after the final one", id)


def _ran(facts: Facts) -> Iterator[Violation]:
    """Whatever ran has records, no fewer than it ran, and whatever is said to have run well did run."""
    ran = collections.Counter(run.invocation_id for run in facts.runs)
    known = _by_id(facts)
    for id, times in ran.items():
        if times > len(known.get(id, ())):
            yield Violation(f"ran {times} times, with {len(known.get(id, ()))} records", id)
    for id, attempts in known.items():
        if any(each.status == "ok" for each in attempts) and not ran[id]:
            yield Violation("said to have run, and left no evidence", id)


def _uploads(facts: Facts) -> Iterator[Violation]:
    """Every acknowledged object has led to an invocation that ran."""
    handled = {run.key for run in facts.runs if run.function == "uploads"}
    unseen = sum(
        all(each.status != "ok" for each in attempts)
        for attempts in _by_id(facts).values()
        if attempts[0].function == "uploads"
    )
    missing = sorted(facts.uploaded - handled)
    if len(missing) > unseen:  # a failed attempt leaves a record and may leave no evidence of which object it was for
        yield Violation(f"{len(missing)} objects not handled, {unseen} failures: {', '.join(missing[:5])}")


def _timers(facts: Facts) -> Iterator[Violation]:
    """Between the first and the last due time that fired, each fired once."""
    fired: dict[str, set[str]] = collections.defaultdict(set)
    for run in facts.runs:
        if run.function == "ticks":
            fired[run.due].add(run.invocation_id)
    for due, ids in fired.items():
        if len(ids) > 1:
            yield Violation(f"due time {due} fired {len(ids)} times", min(ids))
    if not fired:
        return
    seen = {id for ids in fired.values() for id in ids}
    quiet = sum(
        each.function == "ticks" and each.is_final and each.invocation_id not in seen for each in facts.attempts
    )
    seconds = sorted(_seconds(due) for due in fired)
    missing = (seconds[-1] - seconds[0]) // facts.every_s + 1 - len(fired)
    if missing > quiet:
        yield Violation(f"{missing} due times never fired, {quiet} left no evidence")


def _seconds(due: str) -> int:
    return int(datetime.datetime.fromisoformat(due).timestamp())


def _sums(facts: Facts) -> Iterator[Violation]:
    """Totals are the sums of records, nothing is in no place or in two, and nothing is left."""
    if facts.totals != (len(facts.attempts), sum(each.billed_ms for each in facts.attempts)):
        yield Violation(f"totals {facts.totals} are not the sums of {len(facts.attempts)} records")
    if facts.unsettled:
        yield Violation(f"{facts.unsettled} invocations are not settled")
    for ref, drift in facts.drifts.items():
        if drift:
            yield Violation(f"drift of {drift} at {ref}")
    for line in facts.leftovers:
        yield Violation(f"left over: {line}")


def with_leftovers(facts: Facts, lines: Sequence[str]) -> Facts:
    """The facts, and more that ought to have gone."""
    return msgspec.structs.replace(facts, leftovers=facts.leftovers + tuple(lines))
