"""Calling functions, and what became of invocations."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from faas.api.schemas import attempts as attempt_bodies
from faas.api.schemas import failures
from faas.core import model
from faas.queue import whereabouts

_Doc = msgspec.Meta


class Report(attempt_bodies.Attempt, frozen=True, kw_only=True):
    """The answer to a sync call. ``result`` is base64 text when ``result_is_base64``: the handler returned bytes."""

    result: Any
    result_is_base64: bool
    logs: tuple[attempt_bodies.Line, ...]
    report: Annotated[str, _Doc(description="The report line, as Lambda users know it.")]


class Accepted(msgspec.Struct, frozen=True):
    """The answer to an async call: the promise that it will run."""

    invocation_id: str
    status_url: Annotated[str, _Doc(description="The path of the control API that says what became of it.")]
    status: str = "accepted"


class InvocationState(msgspec.Struct, frozen=True, kw_only=True):
    """One invocation. ``result`` is there when it went well and its result is kept: async ones, for a set time.

    ``node`` and ``running_since_ms`` are of a running one; ``due_at_ms`` of one that is ``scheduled`` (delayed) or
    ``retrying``, and ``why`` of the latter. ``object`` is what an upload is about, as ``bucket/key``.
    ``parent_id``, ``root_id`` and ``depth`` are its place in a chain of functions that triggered one another.
    """

    invocation_id: str
    status: whereabouts.Place
    settled: bool
    attempts: Annotated[int, _Doc(description="Attempts that have begun.")]
    function: str | None = None
    revision: int | None = None
    trigger: str | None = None
    mode: model.Mode | None = None
    object: str | None = None
    depth: int = 0
    parent_id: str | None = None
    root_id: str | None = None
    node: str | None = None
    running_since_ms: int | None = None
    due_at_ms: int | None = None
    why: str | None = None
    result: Any = None
    result_is_base64: bool = False
    result_kept: bool = False
    records: tuple[attempt_bodies.Attempt, ...] = ()
    event: Annotated[
        Any, _Doc(description="Its event, while it is not settled and as long as it is a dead letter.")
    ] = msgspec.UNSET


class InvocationLine(msgspec.Struct, frozen=True):
    """One invocation of a list; ``attempts`` have begun."""

    invocation_id: str
    status: whereabouts.Place
    attempts: int
    accepted_at_ms: int


class InvocationList(msgspec.Struct, frozen=True):
    """Invocations, newest first."""

    invocations: tuple[InvocationLine, ...]


class Moved(msgspec.Struct, frozen=True):
    """What was done: ``cancelled``, ``due`` now, ``dropped``, or ``sending`` again."""

    invocation_id: str
    status: str


class BatchItem(msgspec.Struct, frozen=True):
    """What became of one event of a batch: ``accepted`` with its invocation, or ``refused`` with the error."""

    status: str
    invocation_id: str | None = None
    status_url: str | None = None
    error: failures.ErrorDetail | None = None


class Batch(msgspec.Struct, frozen=True):
    """The outcomes of a batch, in the order of its events."""

    results: tuple[BatchItem, ...]
