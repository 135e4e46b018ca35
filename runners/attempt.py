"""The record of one attempt, made of what was measured. Pure functions: no clock, no I/O.

From acceptance to the handler's start an attempt waited: for a slot (``queue_ms``), and, when its slot was made
meanwhile, for the sandbox and the user code (``init_ms``). The two never overlap. Only the handler's time is billed.
"""

from __future__ import annotations

import msgspec

from faas.core import model
from faas.core.money import billing
from runners import remarking
from runners.sandbox import base

INVOKE = "invoke"
"""The trigger of calls by the control API."""

_OK = model.Status.OK
_HANDLER_RAN = frozenset({model.Status.OK, model.Status.ERROR, model.Status.TIMEOUT, model.Status.OOM})


class Birth(msgspec.Struct, frozen=True):
    """How and when a slot came to be: Unix ms at which making it began and at which it was ready.

    ``marks`` are the steps in between, in order; the last one ends when the slot is ready.
    """

    kind: model.ColdStart
    begun_at_ms: int
    ready_at_ms: int
    marks: tuple[base.Mark, ...] = ()


class Waited(msgspec.Struct, frozen=True):
    """What an attempt waited for before its handler started."""

    started_at_ms: int
    queue_ms: int
    init_ms: int = 0
    cold_start: model.ColdStart = model.ColdStart.NONE
    steps: tuple[model.ColdStartStep, ...] = ()


class NodeRates(msgspec.Struct, frozen=True):
    """Where an attempt ran, what a GB-second, a request and processor time cost there, what was said of answers."""

    node: str
    price_gb_s_micro: int
    price_request_nano: int
    remarks: remarking.Remarks = msgspec.field(default_factory=remarking.Remarks)
    price_cpu_s_micro: int = 0


def waited(accepted_at_ms: int, birth: Birth | None, started_at_ms: int) -> Waited:
    """What the wait was for. ``birth`` is None unless this is the slot's first attempt.

    A slot that was ready before the invocation was accepted cost it nothing.
    """
    all_ms = max(started_at_ms - accepted_at_ms, 0)
    if birth is None or birth.ready_at_ms <= accepted_at_ms:
        return Waited(started_at_ms, all_ms)
    # Bounded on both sides, as these are moments of a wall clock that may have jumped in between.
    init_ms = min(max(birth.ready_at_ms - max(accepted_at_ms, birth.begun_at_ms), 0), all_ms)
    return Waited(started_at_ms, all_ms - init_ms, init_ms, birth.kind, steps(birth, init_ms))


def steps(birth: Birth, init_ms: int) -> tuple[model.ColdStartStep, ...]:
    """What the last ``init_ms`` before a slot was ready were spent on: the steps in order, which add up to them.

    An attempt that was accepted while its slot was being made waited for the rest of it only. The wall clock may have
    jumped meanwhile: what no step accounts for is the last one's.
    """
    found: list[model.ColdStartStep] = []
    left_ms, from_ms = init_ms, birth.ready_at_ms - init_ms
    for mark in birth.marks[:-1]:
        ms = min(max(mark.ended_at_ms - from_ms, 0), left_ms)
        left_ms, from_ms = left_ms - ms, max(from_ms, mark.ended_at_ms)
        found.append(model.ColdStartStep(mark.name, ms))
    found += [model.ColdStartStep(mark.name, left_ms) for mark in birth.marks[-1:]]
    return tuple(step for step in found if step.ms)


def record(
    invocation: model.Invocation,
    revision: model.Revision,
    waited: Waited,
    ran: base.Ran,
    place: NodeRates,
    *,
    sandbox: str,
    ended_at_ms: int,
    background_ms: int = 0,
    cpu_us: int | None = None,
) -> model.Record:
    """The record of an attempt that a sandbox answered. It settles its invocation, unless another attempt follows.

    ``background_ms`` is what the sandbox could work before it, since its last attempt; it is billed along. ``cpu_us``
    is the processor time that the attempt used.
    """
    config = revision.config
    billed = billing.billed_ms(ran.duration_us) + background_ms if ran.status in _HANDLER_RAN else 0
    pico = 0
    if billed:
        pico = billing.cost_pico(billed, config.memory_mb, place.price_gb_s_micro, place.price_request_nano)
        pico += billing.cpu_pico(cpu_us, place.price_cpu_s_micro)
    # Those that every record has stand in their order: each of so many keywords is looked for among all fields, which
    # costs 0.9 us a call.
    return model.Record(
        invocation.id,
        invocation.attempt,
        invocation.function,
        invocation.revision,
        invocation.trigger,
        invocation.mode,
        ran.status,
        invocation.accepted_at_ms,
        waited.started_at_ms,
        ended_at_ms,
        waited.queue_ms,
        waited.init_ms,
        ran.duration_us,
        billed,
        config.memory_mb,
        ran.memory_peak_mb,
        waited.cold_start,
        billing.cost_micro(pico),
        place.node,
        sandbox,
        depth=invocation.depth,
        dead=ran.status is not _OK and invocation.mode is model.Mode.ASYNC,
        error=ran.error,
        logs=ran.logs,
        logs_cut=ran.logs_cut,
        cost_pico=pico,
        parent_id=invocation.parent_id,
        root_id=invocation.root_id,
        object=invocation.object,
        cpu_us=cpu_us,
        steps=waited.steps,
        trace=invocation.trace,
    )


def not_loaded(loaded: base.Loaded) -> base.Ran:
    """What an attempt gets whose handler could not be imported: it never ran, and the log is the import's."""
    return base.Ran(
        status=model.Status.INIT_ERROR,
        duration_us=0,
        memory_peak_mb=0,
        error=loaded.error,
        logs=loaded.logs,
        logs_cut=loaded.logs_cut,
        reusable=False,
    )


def outcome(record: model.Record, ran: base.Ran) -> model.Outcome:
    """What the caller gets. The log goes along to `faas invoke` only, which prints it; others find it in the ledger."""
    shown = msgspec.structs.replace(record, logs=()) if record.logs and record.trigger != INVOKE else record
    return model.Outcome(record=shown, body=ran.body, is_bytes=ran.is_bytes)
