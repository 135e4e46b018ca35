"""What a run is told as: faults by kind, invocations by outcome, worst times. Pure."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

from tests.torture import checker


def report(
    facts: checker.Facts,
    done: Mapping[str, int],
    recovered_s: Mapping[str, float],
    violations: Sequence[checker.Violation],
    sent: tuple[int, int, int],
) -> str:
    """Lines for a person, and for the documentation."""
    finals = [each for each in facts.attempts if each.is_final]
    outcomes = collections.Counter((each.function, each.status) for each in finals)
    waits = [(each.ended_at_ms - each.accepted_at_ms - each.duration_ms) / 1000 for each in finals]
    lines = ["| fault | times | worst recovery, s |", "|---|---:|---:|"]
    lines += [f"| {kind} | {times} | {recovered_s.get(kind, 0.0):.1f} |" for kind, times in sorted(done.items())]
    lines += [f"| all | {sum(done.values())} | {max(recovered_s.values(), default=0.0):.1f} |", ""]
    lines += ["| function | outcome | invocations |", "|---|---|---:|"]
    lines += [f"| {function} | {status} | {count} |" for (function, status), count in sorted(outcomes.items())]
    lines += [f"| all | | {len(finals)} |", ""]
    lines += [
        f"requests {sent[0]}, refused {sent[1]}, connections broken {sent[2]}; "
        f"202s {len(facts.accepted)}, answers {len(facts.answered)}, uploads {len(facts.uploaded)}",
        f"attempts {len(facts.attempts)}, runs seen from outside {len(facts.runs)}, "
        f"longest from acceptance to end without the handler's own time {max(waits, default=0.0):.1f} s",
        f"violations {len(violations)}",
    ]
    return "\n".join(lines)


def history(facts: checker.Facts, id: str, logs: str) -> str:
    """All that is known of one invocation: its records, its evidence, and the log lines that name it."""
    lines = [f"  record {each}" for each in facts.attempts if each.invocation_id == id]
    lines += [f"  run {each}" for each in facts.runs if each.invocation_id == id]
    lines += [f"  log {line}" for line in logs.splitlines() if id in line]
    return "\n".join(lines)
