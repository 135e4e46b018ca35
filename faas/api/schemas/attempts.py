"""Attempts at invocations: their records."""

from __future__ import annotations

from typing import Annotated

import msgspec

from faas.core import model

_Doc = msgspec.Meta


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt failed: the user's own error and frames."""

    type: str
    message: str
    stack: tuple[str, ...] = ()


class Line(msgspec.Struct, frozen=True):
    """One line that an attempt printed."""

    at_ms: int
    text: str


class ColdStartStep(msgspec.Struct, frozen=True):
    """One part of `init_ms`: `fetch`, `turn`, `start`, `place`, `import` or `limits`."""

    name: str
    ms: int


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One record, as the command line and the API show it."""

    invocation_id: str
    attempt: int
    function: str
    revision: int
    trigger: str
    mode: model.Mode
    status: model.Status
    error: Failure | None
    cold_start: Annotated[bool, _Doc(description="Whether the attempt waited for a sandbox or for code to load.")]
    cold_start_kind: model.ColdStart
    queue_ms: int
    init_ms: int
    steps: Annotated[tuple[ColdStartStep, ...], _Doc(description="What `init_ms` was spent on; they add up to it.")]
    duration_ms: Annotated[float, _Doc(description="The handler's own time, to the microsecond.")]
    billed_ms: int
    memory_mb: Annotated[int, _Doc(description="Peak memory of the attempt.")]
    memory_limit_mb: int
    cost_pico: Annotated[int, _Doc(description="In pico-units: 10^-12 of the currency.")]
    cost_decimal: Annotated[str, _Doc(description="The same in the currency, as a decimal: `0.00000836`.")]
    currency: Annotated[str, _Doc(description="The setting `currency`.")]
    accepted_at_ms: int
    started_at_ms: int
    ended_at_ms: int
    node: str
    sandbox: str
    depth: Annotated[int, _Doc(description="Links of its chain of functions that triggered one another.")]
    parent_id: Annotated[str | None, _Doc(description="The invocation that this one follows from.")]
    root_id: Annotated[str | None, _Doc(description="The first invocation of its chain.")]
    object: Annotated[str | None, _Doc(description="What an upload was about, as `bucket/key`.")]
    final: bool
    dead: bool
    logs_cut: bool
    cpu_us: Annotated[
        int | None, _Doc(description="Processor time that it used, by the host's account; null where nobody tells.")
    ] = None


class Attempts(msgspec.Struct, frozen=True):
    """Records, newest first. ``next`` goes into ``before`` of the request for the next page; null on the last."""

    records: tuple[Attempt, ...]
    next: str | None
