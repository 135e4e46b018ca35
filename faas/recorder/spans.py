"""Records as OpenTelemetry's spans, in the JSON form of OTLP. Pure functions.

::

    invocation (accepted ─────────────────────────────────────────────── settled)
      ├ queue   (accepted ── )
      ├ init    (             steps of a cold start ── )
      └ attempt (                                       handler ─────── )

The span of an invocation comes with its last record. A function is a service, so that tracing tools draw which calls
which. Names of attributes are those of the semantic conventions for functions as a service, as far as there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from faas.core import model
from faas.core.calls import tracing
from faas.core.money import billing

Json = dict[str, Any]

_INTERNAL, _SERVER, _CONSUMER = 1, 2, 5
_FAILED = 2
_TRIGGERS = {"http": "http", "timer": "timer", "upload": "datasource", "destination": "pubsub"}
_NS = 1_000_000


def of(records: Sequence[model.Record], scope: Mapping[str, str]) -> list[Json]:
    """The ``resourceSpans`` of records: their spans by function and revision. None of traces that are not sampled."""
    groups: dict[tuple[str, int, int], list[Json]] = {}
    for record in records:
        if tracing.flags(record.trace) & tracing.SAMPLED:
            key = (record.function, record.revision, record.memory_limit_mb)
            groups.setdefault(key, []).extend(_spans(record))
    return [
        {"resource": _resource(*key), "scopeSpans": [{"scope": scope, "spans": found}]} for key, found in groups.items()
    ]


def _resource(function: str, revision: int, memory_mb: int) -> Json:
    named = {
        "service.name": function,
        "service.namespace": "faas",
        "service.version": str(revision),
        "faas.name": function,
        "faas.version": str(revision),
        "faas.max_memory": memory_mb << 20,
    }
    return {"attributes": _attributes(named)}


def _spans(record: model.Record) -> Iterator[Json]:
    """The spans that a record brings."""
    trace = tracing.trace_id(record.root_id or record.invocation_id, record.trace)
    attempt = tracing.attempt_span_id(record.invocation_id, record.attempt)
    invocation = tracing.span_id(record.invocation_id)
    common = {"traceId": trace, "flags": tracing.flags(record.trace)}
    if record.trace is not None and record.trace.state:
        common["traceState"] = record.trace.state
    if record.final:
        yield common | _invocation(record, invocation)
    yield common | _attempt(record, attempt, invocation)
    for number, (name, from_ms, to_ms) in enumerate(_waits(record), 1):
        id = f"{int(attempt, 16) ^ number << 40:016x}"
        yield common | _span(id, invocation, name, _INTERNAL, from_ms, to_ms)


def _invocation(record: model.Record, id: str) -> Json:
    kind = _SERVER if record.trigger in ("http", "invoke") else _CONSUMER
    span = _span(id, tracing.parent_span_id(record), record.function, kind, record.accepted_at_ms, record.ended_at_ms)
    named: dict[str, Any] = {
        "faas.trigger": _TRIGGERS.get(record.trigger, "other"),
        "faas.invocation_id": record.invocation_id,
        "faas.depth": record.depth,
    }
    if record.object is not None:
        bucket, _, key = record.object.partition("/")
        named |= {"faas.document.collection": bucket, "faas.document.name": key}
    return span | _ending(record) | {"attributes": _attributes(named)}


def _attempt(record: model.Record, id: str, parent: str) -> Json:
    span = _span(id, parent, f"{record.function} attempt {record.attempt}", _INTERNAL, *_ran(record))
    named = {
        "faas.invocation_id": record.invocation_id,
        "faas.instance": record.sandbox,
        "faas.coldstart": record.cold_start is not model.ColdStart.NONE,
        "host.name": record.node,
        "faas.attempt": record.attempt,
        "faas.cold_start": record.cold_start.value,
        "faas.billed_ms": record.billed_ms,
        "faas.memory_peak_mb": record.memory_peak_mb,
        "faas.cost": billing.decimal(record.cost_pico),
    }
    return span | _ending(record) | {"attributes": _attributes(named)}


def _ran(record: model.Record) -> tuple[int, int]:
    return record.started_at_ms, max(record.ended_at_ms, record.started_at_ms)


def _waits(record: model.Record) -> Iterator[tuple[str, int, int]]:
    """What was waited for before the handler started: first the queue, then the steps of a cold start."""
    at_ms = record.started_at_ms - record.init_ms
    # A further attempt waits for its turn after a backoff, which is no queue.
    if record.queue_ms and record.attempt == 1:
        yield "queue", at_ms - record.queue_ms, at_ms
    for step in record.steps:
        yield f"init {step.name}", at_ms, at_ms + step.ms
        at_ms += step.ms


def _span(id: str, parent: str, name: str, kind: int, from_ms: int, to_ms: int) -> Json:
    span: Json = {
        "spanId": id,
        "name": name,
        "kind": kind,
        # 64-bit numbers are texts in the JSON form of protocol buffers.
        "startTimeUnixNano": str(from_ms * _NS),
        "endTimeUnixNano": str(max(to_ms, from_ms) * _NS),
    }
    return span | {"parentSpanId": parent} if parent else span


def _ending(record: model.Record) -> Json:
    if record.status is model.Status.OK:
        return {}
    failure = record.error or model.Failure(record.status.value, "")
    named = {"exception.type": failure.type, "exception.message": failure.message}
    if failure.stack:
        named["exception.stacktrace"] = "\n".join(failure.stack)
    event = {"name": "exception", "timeUnixNano": str(record.ended_at_ms * _NS), "attributes": _attributes(named)}
    return {"status": {"code": _FAILED, "message": record.status.value}, "events": [event]}


def _attributes(named: Mapping[str, Any]) -> list[Json]:
    return [{"key": name, "value": _value(value)} for name, value in named.items()]


def _value(value: str | int | bool) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
