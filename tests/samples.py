"""Invocations' records as a runner would make them, for the tests that need one and do not care what it cost."""

from __future__ import annotations

from typing import Any

import msgspec

from faas.core import ids, model
from faas.queue import destined
from faas.store import undelivered as undelivered_module


def record(of: model.Invocation, status: model.Status = model.Status.OK, dead: bool = False) -> model.Record:
    """A record of this attempt, with figures that mean nothing."""
    return model.Record(
        invocation_id=of.id,
        attempt=of.attempt,
        function=of.function,
        revision=of.revision,
        trigger=of.trigger,
        mode=of.mode,
        status=status,
        accepted_at_ms=1,
        started_at_ms=2,
        ended_at_ms=3,
        queue_ms=1,
        init_ms=0,
        duration_us=900,
        billed_ms=1,
        memory_limit_mb=128,
        memory_peak_mb=12,
        cold_start=model.ColdStart.NONE,
        cost_micro=0,
        node="n1",
        sandbox="s1",
        dead=dead,
    )


def ended(**changes: Any) -> model.Record:
    """The record of an attempt that ran well, with figures that add up, but for what ``changes`` name."""
    made = model.Record(
        invocation_id=ids.new_id(),
        attempt=1,
        function="hello",
        revision=1,
        trigger="http",
        mode=model.Mode.SYNC,
        status=model.Status.OK,
        accepted_at_ms=1_000,
        started_at_ms=1_002,
        ended_at_ms=1_010,
        queue_ms=2,
        init_ms=0,
        duration_us=7_001,
        billed_ms=8,
        memory_limit_mb=128,
        memory_peak_mb=30,
        cold_start=model.ColdStart.NONE,
        cost_micro=0,
        cost_pico=216_667,
        node="n",
        sandbox="s",
        logs=(model.LogLine(1_005, "50% done"),),
    )
    return msgspec.structs.replace(made, **changes)


def undelivered(function: str = "hello", given_up_at_ms: int = 7) -> undelivered_module.Undelivered:
    """A record that a scheduler gave up."""
    of = model.Invocation(
        id=ids.new_id(),
        function=function,
        revision=1,
        trigger="invoke",
        mode=model.Mode.ASYNC,
        event=b'{"n": 1}',
        accepted_at_ms=1,
    )
    settled = destined.settled(record(of), model.Condition.SUCCESS, b"42")
    return undelivered_module.Undelivered(
        invocation=of,
        settled=msgspec.msgpack.encode(settled),
        destination="https://example.com/hook",
        attempts=3,
        reason="the receiver answered 500",
        given_up_at_ms=given_up_at_ms,
    )
