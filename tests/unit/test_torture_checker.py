"""The checker of the torture sees each promise that is broken, and no other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.torture import checker, table


def _attempt(id: str = "a", attempt: int = 1, **changes: Any) -> checker.Attempt:
    made = checker.Attempt(id, attempt, "echo", "http", "ok", True, 5, 1_000, 1_010, 4)
    return msgspec.structs.replace(made, **changes)


def _run(id: str = "a", function: str = "echo", due: str = "", key: str = "") -> checker.Run:
    return checker.Run(id, function, due, key)


def _facts(**changes: Any) -> checker.Facts:
    attempts = changes.get("attempts", (_attempt(),))
    made = checker.Facts(
        accepted=frozenset({"a"}),
        answered={},
        uploaded=frozenset(),
        attempts=attempts,
        runs=(_run(),),
        totals=(len(attempts), sum(each.billed_ms for each in attempts)),
        drifts={"echo@1": 0},
        unsettled=0,
        every_s=2,
    )
    return msgspec.structs.replace(made, **changes)


def _ticks(*seconds: int) -> dict[str, Any]:
    ids = [f"t{place}" for place in range(len(seconds))]
    return {
        "attempts": (_attempt(), *(_attempt(id, function="ticks") for id in ids)),
        "runs": (
            _run(),
            *(_run(id, "ticks", f"2026-01-01T00:00:{at:02}Z") for id, at in zip(ids, seconds, strict=True)),
        ),
    }


def test_a_run_that_kept_every_promise_has_no_violations() -> None:
    lost = (_attempt(status="lost", is_final=False, billed_ms=0), _attempt(attempt=2))
    assert checker.check(_facts()) == ()
    assert checker.check(_facts(attempts=lost)) == ()
    assert checker.check(_facts(**_ticks(2, 4, 6))) == ()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"attempts": (), "runs": ()}, "accepted, with 0 final states"),
        ({"attempts": (_attempt(is_final=False),)}, "accepted, with 0 final states"),
        ({"attempts": (_attempt(), _attempt(attempt=2))}, "accepted, with 2 final states"),
        ({"attempts": (_attempt(), _attempt("b", is_final=False)), "runs": (_run(), _run("b"))}, "without one final"),
        ({"attempts": (_attempt(attempt=2),)}, "attempts [2]"),
        ({"attempts": (_attempt(), _attempt(attempt=2, is_final=False))}, "an attempt after the final one"),
        ({"runs": (_run(), _run())}, "ran 2 times, with 1 records"),
        ({"runs": ()}, "left no evidence"),
        ({"uploaded": frozenset({"k"})}, "1 objects not handled"),
        (_ticks(2, 2), "fired 2 times"),
        (_ticks(2, 6), "1 due times never fired"),
        ({"totals": (2, 10)}, "are not the sums"),
        ({"unsettled": 3}, "3 invocations are not settled"),
        ({"drifts": {"echo@1": -1}}, "drift of -1 at echo@1"),
        ({"leftovers": ("container x",)}, "left over: container x"),
    ],
)
def test_each_broken_promise_is_seen(changes: dict[str, Any], what: str) -> None:
    assert any(what in violation.what for violation in checker.check(_facts(**changes)))


def test_the_table_counts_faults_and_outcomes_and_the_history_names_what_is_known_of_an_id() -> None:
    facts = _facts()
    told = table.report(facts, {"kill node": 2, "deploy": 1}, {"kill node": 3.21}, (), (10, 1, 2))
    assert "| kill node | 2 | 3.2 |" in told
    assert "| all | 3 | 3.2 |" in told
    assert "| echo | ok | 1 |" in told
    assert "violations 0" in told
    known = table.history(facts, "a", "one a line\nanother")
    assert "record" in known
    assert "run" in known
    assert "log one a line" in known
