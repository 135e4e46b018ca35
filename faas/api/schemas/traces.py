"""The bodies of ``/api/v1/traces``: chains of invocations that follow from one another, and what they add up to."""

from __future__ import annotations

from typing import Annotated

import msgspec

from faas.api.schemas import attempts
from faas.core import model
from faas.queue import whereabouts

_Doc = msgspec.Meta


class TraceAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at an invocation of a chain."""

    attempt: int
    status: model.Status
    started_at_ms: int
    ended_at_ms: int
    queue_ms: int
    init_ms: int
    steps: Annotated[
        tuple[attempts.ColdStartStep, ...], _Doc(description="What `init_ms` was spent on; they add up to it.")
    ]
    cold_start: model.ColdStart
    duration_us: int
    billed_ms: int
    cost_pico: int
    span_id: Annotated[str, _Doc(description="Its span, as tracing tools know it.")]
    error: attempts.Failure | None = None


class TraceDestination(msgspec.Struct, frozen=True, kw_only=True):
    """A record of an invocation that could not be delivered to its destination."""

    destination: str
    reason: str
    attempts: Annotated[int, _Doc(description="How often it was sent.")]
    given_up_at_ms: int


class TraceInvocation(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation of a chain.

    ``state`` is `waiting`, `running`, `scheduled`, `retrying`, `done` or `dead`. One that has no record yet and was
    handed off, or whose record is kept no longer, is known by its id alone: its ``function`` is null.
    """

    id: str
    parent_id: str | None
    function: str | None
    revision: int | None
    trigger: str | None
    object: str | None
    depth: int
    state: whereabouts.Place
    accepted_at_ms: int | None
    attempts: tuple[TraceAttempt, ...]
    span_id: Annotated[str, _Doc(description="Its span, as tracing tools know it.")]
    node: Annotated[str | None, _Doc(description="Where it runs, of a running one.")] = None
    running_since_ms: int | None = None
    due_at_ms: Annotated[int | None, _Doc(description="When it runs (again), of one that is due later.")] = None
    delivering: Annotated[
        str | None, _Doc(description="`success` or `failure` while its record waits for that destination.")
    ] = None
    undelivered: TraceDestination | None = None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A chain: the invocation that it began with, and all that follow from it, in the order of acceptance.

    ``count`` are the invocations that are shown. ``is_cut`` says that there may be more than these.
    """

    root_id: str
    trace_id: Annotated[str, _Doc(description="The W3C trace id that all of its spans have.")]
    count: int
    cost_pico: int
    cost_decimal: Annotated[str, _Doc(description="The same in the currency, as a decimal: `0.00000836`.")]
    currency: Annotated[str, _Doc(description="The setting `currency`.")]
    billed_ms: int
    began_at_ms: int
    ended_at_ms: Annotated[int | None, _Doc(description="Null while something of it has not ended.")]
    is_cut: bool
    invocations: tuple[TraceInvocation, ...]


class TraceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One chain of a list. ``status`` is `ok`, or how the first of its invocations ended that did not go well.

    ``function``, ``trigger`` and ``object`` are those of the first invocation, null until it has a record.
    """

    root_id: str
    function: str | None
    trigger: str | None
    object: str | None
    count: Annotated[int, _Doc(description="Invocations that are settled.")]
    cost_pico: int
    cost_decimal: str
    billed_ms: int
    duration_ms: Annotated[int, _Doc(description="From the first acceptance to the last end of an attempt.")]
    began_at_ms: int
    ended_at_ms: int
    status: str


class TraceList(msgspec.Struct, frozen=True, kw_only=True):
    """Chains of more than one invocation, in the order that was asked for."""

    currency: str
    traces: tuple[TraceLine, ...]
