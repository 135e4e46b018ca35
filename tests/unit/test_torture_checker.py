"""The checker of the torture sees each promise that is broken, and no other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.torture import checker, facts, faults, table


def _attempt(id: str = "a", attempt: int = 1, **changes: Any) -> checker.Attempt:
    made = checker.Attempt(
        invocation_id=id, attempt=attempt, billed_ms=5, accepted_at_ms=1_000, ended_at_ms=1_010, duration_ms=4
    )
    return msgspec.structs.replace(made, **changes)


def _run(id: str = "a", attempt: int = 1, **changes: Any) -> checker.Run:
    return msgspec.structs.replace(checker.Run(invocation_id=id, attempt=attempt, function="echo"), **changes)


def _letter(id: str = "a", **changes: Any) -> checker.Run:
    return _run(id, 0, **changes)


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
    due = [f"2026-01-01T00:00:{at:02}Z" for at in seconds]
    return {
        "attempts": (_attempt(), *(_attempt(id, function="ticks") for id in ids)),
        "runs": (_run(), *(_run(id, function="ticks", due=at) for id, at in zip(ids, due, strict=True))),
    }


LOST = _attempt(status="lost", is_final=False, billed_ms=0)
DEAD = {"attempts": (_attempt(status="error", is_dead=True),), "letters": (_letter(),)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"attempts": (LOST, _attempt(attempt=2)), "runs": (_run(attempt=2),)},
        {"attempts": (LOST, _attempt(attempt=2)), "runs": (_run(), _run(attempt=2))},
        {"answered": {"a": 200}},
        {"uploaded": frozenset({"k"}), "runs": (_run(function="uploads", key="k"),)},
        {**DEAD, "uploaded": frozenset({"k"}), "letters": (_letter(function="uploads", key="k"),)},
        {"cancelled": frozenset({"a"}), "attempts": (_attempt(status="rejected", billed_ms=0),), "runs": ()},
        DEAD,
        _ticks(2, 4, 6),
    ],
)
def test_a_run_that_kept_every_promise_has_no_violations(changes: dict[str, Any]) -> None:
    assert checker.check(_facts(**changes)) == ()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"attempts": (), "runs": ()}, "accepted, with 0 final states"),
        ({"attempts": (_attempt(is_final=False),)}, "accepted, with 0 final states"),
        ({"attempts": (_attempt(), _attempt(attempt=2))}, "accepted, with 2 final states"),
        ({"attempts": (_attempt(), _attempt("b", is_final=False)), "runs": (_run(), _run("b"))}, "seen, with 0 final"),
        ({"answered": {"b": 200}}, "seen, with 0 final states"),
        ({"attempts": (_attempt(attempt=2),)}, "attempts [2]"),
        ({"attempts": (_attempt(), _attempt(attempt=2, is_final=False))}, "an attempt after the final one"),
        ({"attempts": (_attempt(is_final=False), _attempt(attempt=2))}, "went well twice"),
        ({"attempts": (_attempt(status="lost"),)}, "billed for what did not run to an end"),
        ({"attempts": (LOST, _attempt(attempt=2, revision=2))}, "attempts of several revisions"),
        ({"runs": (_run(), _run("a", 1))}, "attempt 1 ran 2 times"),
        ({"runs": (_run(), _run("a", 2))}, "attempt 2 ran, and has no record"),
        ({"runs": ()}, "left no evidence"),
        ({"attempts": (_attempt(status="rejected", billed_ms=0),)}, "though its record says that it never did"),
        ({"cancelled": frozenset({"a"})}, "cancelled, and recorded as ok"),
        ({"answered": {"a": 502}}, "answered 502, and recorded as ok"),
        ({"wrong": (("another call's answer", "a"),)}, "another call's answer"),
        ({"unknown": ("a",)}, "does not know how it ended"),
        (
            {"attempts": (_attempt(), _attempt("b")), "runs": (_run(), _run("b", revision="1"))},
            "ran with the environment of revisions",
        ),
        ({**DEAD, "letters": ()}, "dead, without a dead letter"),
        ({"letters": (_letter(),)}, "a dead letter of what did not die"),
        ({"uploaded": frozenset({"k"})}, "object k was not handled"),
        (
            {
                "attempts": (_attempt(), _attempt("b")),
                "runs": (_run(function="uploads", key="k"), _run("b", function="uploads", key="k")),
            },
            "object k led to 2 invocations",
        ),
        (_ticks(2, 2), "fired 2 times"),
        (_ticks(2, 6), "due time 2026-01-01T00:00:04+00:00 never fired"),
        ({"totals": (2, 10)}, "are not the sums"),
        ({"unsettled": 3}, "3 invocations are not settled"),
        ({"drifts": {"echo@1": -1}}, "drift of -1 at echo@1"),
        ({"leftovers": ("container x",)}, "left over: container x"),
    ],
)
def test_each_broken_promise_is_seen(changes: dict[str, Any], what: str) -> None:
    assert any(what in violation.what for violation in checker.check(_facts(**changes)))


def _told(**changes: Any) -> table.Run:
    made = table.Run(
        done={"kill node": 2, "kill api": 1},
        recovered_s={"kill node": [3.21, 1.0]},
        losses=(),
        held={"node": (facts.Process(10, 80), facts.Process(11, 81))},
        sent=10,
        refused=1,
        broken=2,
        hung_up=3,
        deploys=4,
    )
    return msgspec.structs.replace(made, **changes)


def test_the_table_counts_faults_and_outcomes_and_the_history_names_what_is_known_of_an_id() -> None:
    seen = _facts()
    told = table.report(seen, _told(), ())
    assert "| kill node | 2 | 2.1 | 3.2 |" in told
    assert "| all | 3 | 2.1 | 3.2 |" in told
    assert "| echo | ok | 1 |" in told
    assert "| node | 80 | 81 | 10 | 11 |" in told
    assert "violations: 0" in told
    known = table.history(seen, "a", "one a line\nanother")
    assert "record" in known
    assert "run" in known
    assert "log one a line" in known


def test_a_recovery_past_its_time_and_a_late_take_over_are_violations() -> None:
    lost = msgspec.structs.replace(LOST, node="host-7-3b1f00", ended_at_ms=31_000, is_taken_over=True)
    with_its_sandbox = msgspec.structs.replace(lost, invocation_id="b", is_taken_over=False)
    run = _told(recovered_s={"kill redis": [15.1, 2.0]}, losses=(faults.Loss(7, 1_000), faults.Loss(7, 40_000)))
    assert table.taken_over_s((lost, with_its_sandbox), run.losses) == {"a": 30.0}
    assert [each.what for each in table.slow_recoveries(run, (lost,), 15)] == [
        "kill redis: everything worked again after 15.1 s",
        "taken over after 30.0 s",
    ]


def test_what_holds_much_more_than_at_the_start_is_named() -> None:
    before = {"node": facts.Process(10, 80), "api": facts.Process(10, 80)}
    after = {"node": facts.Process(100, 80), "api": facts.Process(12, 200)}
    assert facts.grown(before, after) == ["node: 100 descriptors, 10 at the start", "api: 200 MB, 80 at the start"]
