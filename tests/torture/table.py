"""What a run is told as: faults by kind, invocations by outcome, worst times, what the processes held. Pure."""

from __future__ import annotations

import collections
import statistics
from collections.abc import Mapping, Sequence

import msgspec

from tests.torture import checker, facts, faults

RECOVERY_S = 15.0
"""What a fault may cost: a node's lease of 8 s, and room to notice, take over and start again."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one run, beside what was seen at its end."""

    done: Mapping[str, int]
    recovered_s: Mapping[str, list[float]]
    losses: Sequence[faults.Loss]
    held: Mapping[str, tuple[facts.Process, facts.Process]]
    sent: int
    refused: int
    broken: int
    hung_up: int
    deploys: int


def taken_over_s(attempts: Sequence[checker.Attempt], losses: Sequence[faults.Loss]) -> dict[str, float]:
    """For each invocation that was taken over from a lost node: seconds from the loss until its record said so.

    The clock may have been set by an hour in between, either way.
    """
    at_ms: dict[int, list[int]] = collections.defaultdict(list)
    for loss in losses:
        at_ms[loss.pid].append(loss.at_ms)
    return {
        each.invocation_id: min((each.ended_at_ms - at) % faults.HOUR_MS for at in at_ms[_pid(each.node)]) / 1000
        for each in attempts
        if each.is_taken_over and _pid(each.node) in at_ms
    }


def _pid(node: str) -> int:
    """Nodes are called ``<host>-<process id>-<six digits>``."""
    return int(node.split("-")[-2])


def slow_recoveries(run: Run, attempts: Sequence[checker.Attempt], within_s: float) -> list[checker.Violation]:
    """Faults after which not everything worked in time, and invocations that were not taken over in time."""
    slow = [
        checker.Violation(f"{kind}: everything worked again after {took:.1f} s")
        for kind, each in run.recovered_s.items()
        for took in each
        if took > within_s
    ]
    return slow + [
        checker.Violation(f"taken over after {took:.1f} s", id)
        for id, took in taken_over_s(attempts, run.losses).items()
        if took > within_s
    ]


def report(seen: checker.Facts, run: Run, violations: Sequence[checker.Violation]) -> str:
    """Lines for a person, and for the documentation."""
    return "\n\n".join(
        (_faults(run), _outcomes(seen), _figures(seen, run), _held(run), f"violations: {len(violations)}")
    )


def _faults(run: Run) -> str:
    lines = ["| fault | times | median recovery, s | worst |", "|---|---:|---:|---:|"]
    for kind, times in sorted(run.done.items()):
        took = run.recovered_s.get(kind) or [0.0]
        lines.append(f"| {kind} | {times} | {statistics.median(took):.1f} | {max(took):.1f} |")
    every = [took for each in run.recovered_s.values() for took in each] or [0.0]
    lines.append(f"| all | {sum(run.done.values())} | {statistics.median(every):.1f} | {max(every):.1f} |")
    return "\n".join(lines)


def _outcomes(seen: checker.Facts) -> str:
    finals = [each for each in seen.attempts if each.is_final]
    outcomes = collections.Counter((each.function, each.status) for each in finals)
    lines = ["| function | outcome | invocations |", "|---|---|---:|"]
    lines += [f"| {function} | {status} | {count} |" for (function, status), count in sorted(outcomes.items())]
    return "\n".join([*lines, f"| all | | {len(finals)} |"])


def _figures(seen: checker.Facts, run: Run) -> str:
    again = collections.Counter(each.status for each in seen.attempts if not each.is_final)
    taken = taken_over_s(seen.attempts, run.losses).values()
    return "\n".join(
        (
            f"requests {run.sent}, refused {run.refused}, connections broken by faults {run.broken}, "
            f"hung up {run.hung_up}; deploys {run.deploys}",
            f"202s {len(seen.accepted)} ({len(seen.cancelled)} cancelled), answers {len(seen.answered)}, "
            f"uploads {len(seen.uploaded)}, dead letters {len(seen.letters)}",
            f"attempts {len(seen.attempts)}, runs seen from outside {len(seen.runs)}, followed by another attempt: "
            + ", ".join(f"{status} {count}" for status, count in sorted(again.items())),
            f"taken over from lost nodes {len(taken)}, after at most {max(taken, default=0.0):.1f} s",
        )
    )


def _held(run: Run) -> str:
    lines = [
        "| process | MB at the start | at the end | descriptors at the start | at the end |",
        "|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {before.rss_mb} | {after.rss_mb} | {before.fds} | {after.fds} |"
        for name, (before, after) in sorted(run.held.items())
    ]
    return "\n".join(lines)


def history(seen: checker.Facts, id: str, logs: str) -> str:
    """All that is known of one invocation: its records, its evidence, and the log lines that name it."""
    lines = [f"  record {each}" for each in seen.attempts if each.invocation_id == id]
    lines += [f"  run {each}" for each in (*seen.runs, *seen.letters) if each.invocation_id == id]
    lines += [f"  log {line}" for line in logs.splitlines() if id in line]
    return "\n".join(lines)
