"""What must be true at the end, checked over facts that were collected from outside. Pure."""

from __future__ import annotations

import collections
import datetime
from collections.abc import Iterator, Mapping, Sequence

import msgspec


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the ledger, as far as it is checked. ``error`` is the type that it names."""

    invocation_id: str
    attempt: int = 1
    function: str = "echo"
    trigger: str = "http"
    status: str = "ok"
    node: str = "node"
    revision: int = 1
    is_final: bool = True
    is_dead: bool = False
    is_taken_over: bool = False
    billed_ms: int = 0
    accepted_at_ms: int = 0
    started_at_ms: int = 0
    ended_at_ms: int = 0
    duration_ms: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that a handler left in a bucket, or the event of a dead letter (``attempt`` 0).

    ``due`` is a timer's time, ``key`` an uploaded object's.
    """

    invocation_id: str
    attempt: int
    function: str
    revision: str = "0"
    due: str = ""
    key: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was seen.

    ``answered`` maps ids of sync calls to their HTTP status, ``accepted`` are ids of 202s, ``cancelled`` those of them
    that were taken back, ``wrong`` are answers that no client may get, ``letters`` what the dead-letter store keeps.
    ``totals`` are attempts and billed milliseconds as the running totals have them; ``unknown`` are accepted ids of
    which the control API knew nothing, or no end; ``leftovers`` are lines about what ought to have gone.
    """

    accepted: frozenset[str]
    cancelled: frozenset[str] = frozenset()
    answered: Mapping[str, int]
    uploaded: frozenset[str]
    wrong: tuple[tuple[str, str], ...] = ()
    attempts: tuple[Attempt, ...]
    runs: tuple[Run, ...]
    letters: tuple[Run, ...] = ()
    totals: tuple[int, int]
    drifts: Mapping[str, int]
    unsettled: int
    unknown: tuple[str, ...] = ()
    every_s: int
    leftovers: tuple[str, ...] = ()


class Violation(msgspec.Struct, frozen=True):
    """A promise that was not kept, and by which invocation, if by one."""

    what: str
    invocation_id: str = ""


def check(facts: Facts) -> tuple[Violation, ...]:
    """Every promise that was broken."""
    parts = (
        _told, _final, _attempts, _answers, _ran, _cancelled, _revisions, _letters, _uploads, _timers, _sums,
    )  # fmt: skip
    return tuple(violation for part in parts for violation in part(facts))


def _by_id(facts: Facts) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = collections.defaultdict(list)
    for each in facts.attempts:
        found[each.invocation_id].append(each)
    return {id: sorted(attempts, key=lambda each: each.attempt) for id, attempts in found.items()}


def _told(facts: Facts) -> Iterator[Violation]:
    """No client was told what is not so, and whoever asks for what was accepted hears how it ended."""
    for what, id in facts.wrong:
        yield Violation(what, id)
    for id in facts.unknown:
        yield Violation("accepted, and the control API does not know how it ended", id)


def _final(facts: Facts) -> Iterator[Violation]:
    """What was accepted or answered has one final state, and so has whatever was recorded."""
    known = _by_id(facts)
    for id in sorted(facts.accepted | set(facts.answered) | set(known)):
        finals = sum(each.is_final for each in known.get(id, ()))
        if finals != 1:
            yield Violation(f"{'accepted' if id in facts.accepted else 'seen'}, with {finals} final states", id)


def _attempts(facts: Facts) -> Iterator[Violation]:
    """Attempts count from 1 without gaps, each once, and the last one is the final one; one at most went well."""
    for id, attempts in _by_id(facts).items():
        numbers = [each.attempt for each in attempts]
        if numbers != list(range(1, len(attempts) + 1)):
            yield Violation(f"attempts {numbers}", id)
        if any(each.is_final for each in attempts[:-1]):
            yield Violation("an attempt after the final one", id)
        if sum(each.status == "ok" for each in attempts) > 1:
            yield Violation("went well twice", id)
        if any(each.billed_ms for each in attempts if each.status in ("lost", "rejected")):
            yield Violation("billed for what did not run to an end", id)
        if len({each.revision for each in attempts}) > 1:
            yield Violation("attempts of several revisions", id)


def _answers(facts: Facts) -> Iterator[Violation]:
    """What a caller was told is what the record says."""
    known = _by_id(facts)
    for id, status in facts.answered.items():
        ended = known[id][-1].status if id in known else "nothing"
        if (status == 200) != (ended == "ok"):
            yield Violation(f"answered {status}, and recorded as {ended}", id)


def _ran(facts: Facts) -> Iterator[Violation]:
    """Each attempt ran once at most and has a record; what went well did run, what was cancelled did not."""
    ran = collections.Counter((run.invocation_id, run.attempt) for run in facts.runs)
    recorded = {(each.invocation_id, each.attempt) for each in facts.attempts}
    for (id, attempt), times in ran.items():
        if times > 1:
            yield Violation(f"attempt {attempt} ran {times} times", id)
        if (id, attempt) not in recorded:
            yield Violation(f"attempt {attempt} ran, and has no record", id)
    for each in facts.attempts:
        if each.status == "rejected" and (each.invocation_id, each.attempt) in ran:
            yield Violation("ran, though its record says that it never did", each.invocation_id)
        if each.status == "ok" and (each.invocation_id, each.attempt) not in ran:
            yield Violation("said to have run, and left no evidence", each.invocation_id)


def _cancelled(facts: Facts) -> Iterator[Violation]:
    """What was taken back says so at its end."""
    known = _by_id(facts)
    for id in sorted(facts.cancelled & set(known)):
        if known[id][-1].status != "rejected":
            yield Violation(f"cancelled, and recorded as {known[id][-1].status}", id)


def _revisions(facts: Facts) -> Iterator[Violation]:
    """All that ran as one revision had that revision's environment."""
    recorded = {(each.invocation_id, each.attempt): each for each in facts.attempts}
    seen: dict[str, set[str]] = collections.defaultdict(set)
    for run in facts.runs:
        record = recorded.get((run.invocation_id, run.attempt))
        if record is not None:
            seen[f"{record.function}@{record.revision}"].add(run.revision)
    for ref, ran in seen.items():
        if len(ran) > 1:
            yield Violation(f"{ref} ran with the environment of revisions {sorted(ran)}")


def _letters(facts: Facts) -> Iterator[Violation]:
    """The dead-letter store has what died, and nothing else."""
    dead = {each.invocation_id for each in facts.attempts if each.is_dead}
    kept = {letter.invocation_id for letter in facts.letters}
    for id in sorted(dead ^ kept):
        yield Violation("dead, without a dead letter" if id in dead else "a dead letter of what did not die", id)


def _uploads(facts: Facts) -> Iterator[Violation]:
    """Every acknowledged object has led to one invocation, which ran or is a dead letter."""
    by_key = _ids_by(facts, "uploads", "key")
    for key in sorted(facts.uploaded - set(by_key)):
        yield Violation(f"object {key} was not handled")
    for key, ids in by_key.items():
        if len(ids) > 1:
            yield Violation(f"object {key} led to {len(ids)} invocations", min(ids))


def _timers(facts: Facts) -> Iterator[Violation]:
    """Between the first and the last due time that fired, each fired once."""
    fired = _ids_by(facts, "ticks", "due")
    for due, ids in fired.items():
        if len(ids) > 1:
            yield Violation(f"due time {due} fired {len(ids)} times", min(ids))
    seconds = sorted(_seconds(due) for due in fired)
    if seconds:
        for missing in sorted(set(range(seconds[0], seconds[-1], facts.every_s)) - set(seconds)):
            yield Violation(
                f"due time {datetime.datetime.fromtimestamp(missing, datetime.UTC).isoformat()} never fired"
            )


def _ids_by(facts: Facts, function: str, field: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = collections.defaultdict(set)
    for run in (*facts.runs, *facts.letters):
        if run.function == function:
            found[getattr(run, field)].add(run.invocation_id)
    return found


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


def with_unknown(facts: Facts, ids: Sequence[str]) -> Facts:
    """The facts, and the accepted ids of which the control API knows no end."""
    return msgspec.structs.replace(facts, unknown=tuple(ids))
