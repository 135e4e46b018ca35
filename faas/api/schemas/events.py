"""What ``/api/v1/events`` tells of."""

from __future__ import annotations

from typing import Annotated

import msgspec

from faas.api.schemas import attempts
from faas.api.schemas import functions as function_bodies
from faas.api.schemas import status as status_bodies
from faas.core import model

_Doc = msgspec.Meta


class RecordEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A `record` of ``/api/v1/events``: the figures of an attempt that has just ended, without what it printed."""

    invocation_id: str
    attempt: int
    function: str
    revision: int
    trigger: str
    mode: model.Mode
    status: model.Status
    error: attempts.Failure | None
    cold_start: bool
    queue_ms: int
    init_ms: int
    duration_ms: float
    billed_ms: int
    cost_pico: int
    cost_decimal: str
    accepted_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    parent_id: str | None
    root_id: str | None
    object: str | None
    final: bool
    dead: bool


class StatusEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A `status` of ``/api/v1/events``, each second: what is at work, and the nodes."""

    at_ms: int
    waiting: int
    running: int
    functions: Annotated[
        dict[str, function_bodies.Places], _Doc(description="Those that have work, 500 of them at most.")
    ]
    nodes: tuple[status_bodies.Node, ...]
