"""Sync calls that wait in the memory of their node."""

from __future__ import annotations

import msgspec
import pytest

from faas.core import errors, ids, model
from runners import line
from tests.eventually import eventually


class Caller:
    """Notes what became of a call."""

    def __init__(self) -> None:
        self.is_gone = False
        self.error: errors.FaasError | None = None
        self.was_declined = False

    def answer(self, outcome: model.Outcome) -> None:
        raise AssertionError("a line answers nobody")

    def fail(self, error: errors.FaasError) -> None:
        self.error = error

    def decline(self) -> None:
        self.was_declined = True


def call(event: bytes = b"1") -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function="echo",
        revision=1,
        trigger="http",
        mode=model.Mode.SYNC,
        event=event,
        accepted_at_ms=1,
    )


class Lines:
    """Lines with small limits, and who left them."""

    def __init__(self, *, calls: int = 10, wait_ms: int = 60_000, most_bytes: int = 1_000) -> None:
        self.left: list[model.Invocation] = []
        self.budget = line.Budget(most_bytes)
        self._limits = line.LineLimits(calls=calls, wait_ms=wait_ms)

    def line(self) -> line.Line:
        return line.Line(self._limits, self.budget, self.left.append)


async def test_who_came_first_is_served_first() -> None:
    one = Lines().line()
    sent = [call() for _ in range(3)]
    for each in sent:
        one.add(each, Caller(), turn_ms=1.0)
    assert [found.invocation for _ in range(3) if (found := one.next())] == sent
    assert one.next() is None


async def test_who_would_wait_too_long_is_refused_at_once_and_told_when_to_come_back() -> None:
    one = Lines(wait_ms=2_000).line()
    one.add(call(), Caller(), turn_ms=1_500.0)
    with pytest.raises(errors.Throttled, match="1 calls wait for echo") as refused:
        one.add(call(), Caller(), turn_ms=1_500.0)
    assert refused.value.retry_after_s >= 1
    assert len(one) == 1


async def test_a_line_is_bounded_in_calls() -> None:
    one = Lines(calls=2).line()
    for _ in range(2):
        one.add(call(), Caller(), turn_ms=0.0)
    with pytest.raises(errors.Throttled, match="2 calls wait"):
        one.add(call(), Caller(), turn_ms=0.0)


async def test_the_lines_of_a_node_are_bounded_in_bytes_together() -> None:
    lines = Lines(most_bytes=100)
    one, other = lines.line(), lines.line()
    one.add(call(b"x" * 60), Caller(), turn_ms=0.0)
    other.add(call(b"x" * 20), Caller(), turn_ms=0.0)
    with pytest.raises(errors.Throttled, match="hold 80 bytes"):
        other.add(call(b"x" * 30), Caller(), turn_ms=0.0)
    assert one.next() is not None
    other.add(call(b"x" * 30), Caller(), turn_ms=0.0)
    other.disperse()
    assert lines.budget.used_bytes == 0


async def test_who_hangs_up_leaves_the_line_also_in_its_middle() -> None:
    lines = Lines()
    one = lines.line()
    callers = [Caller() for _ in range(3)]
    sent = [call() for _ in callers]
    for each, caller in zip(sent, callers, strict=True):
        one.add(each, caller, turn_ms=1.0)
    callers[1].is_gone = True
    await eventually(lambda: len(one) == 2)
    assert lines.left == [sent[1]]
    callers[0].is_gone = True
    found = one.next()
    assert found is not None
    assert found.invocation is sent[2]
    assert lines.left == [sent[1], sent[0]]
    assert lines.budget.used_bytes == 0


async def test_who_has_waited_for_as_long_as_a_call_may_is_told_so() -> None:
    one = Lines(wait_ms=60).line()
    caller = Caller()
    one.add(call(), caller, turn_ms=0.0)
    await eventually(lambda: caller.error is not None)
    assert isinstance(caller.error, errors.NeverRan)
    assert len(one) == 0


async def test_a_line_that_is_dispersed_sends_its_callers_on() -> None:
    one = Lines().line()
    callers = [Caller() for _ in range(3)]
    for caller in callers:
        one.add(call(), caller, turn_ms=0.0)
    one.disperse(2)
    assert [caller.was_declined for caller in callers] == [True, True, False]
    one.disperse()
    assert all(caller.was_declined for caller in callers)


def of(caller: str | None, event: bytes = b"1") -> model.Invocation:
    return msgspec.structs.replace(call(event), caller=caller)


async def test_one_caller_gets_half_of_the_turns_and_the_others_get_theirs() -> None:
    one = Lines(wait_ms=21_000, calls=1_000).line()
    with pytest.raises(errors.Throttled, match="this caller has 7 calls of echo waiting"):
        for _ in range(20):
            one.add(of("203.0.113.9"), Caller(), turn_ms=1_000.0)
    for caller in ("198.51.100.7", None):
        one.add(of(caller), Caller(), turn_ms=1_000.0)


async def test_one_caller_and_one_function_leave_bytes_of_the_line_to_others() -> None:
    lines = Lines(most_bytes=1_000, calls=1_000)
    one, other = lines.line(), lines.line()
    with pytest.raises(errors.Throttled, match="hold"):
        for _ in range(100):
            one.add(of("203.0.113.9", b"x" * 10), Caller(), turn_ms=0.0)
    assert lines.budget.used_bytes == 330
    one.add(of("198.51.100.7", b"x" * 10), Caller(), turn_ms=0.0)
    with pytest.raises(errors.Throttled, match="hold"):
        for _ in range(100):
            one.add(of(None, b"x" * 10), Caller(), turn_ms=0.0)
    other.add(of(None, b"x" * 100), Caller(), turn_ms=0.0)
    for each in (one, other):
        each.disperse()
    assert (lines.budget.used_bytes, lines.budget.of_callers) == (0, {})
