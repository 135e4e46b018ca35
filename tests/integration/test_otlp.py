"""Spans at a collector: whose they are, what follows from what, and what becomes of them when it is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import msgspec
import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from faas import recorder
from faas.core import errors, groups, ids, model
from faas.core import settings as settings_module
from faas.core.calls import tracing
from faas.queue import batches, invocations
from faas.recorder import otlp
from faas.store import database, ledger
from tests import collector, samples
from tests.collector import attributes
from tests.eventually import eventually

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def receiver() -> Iterator[collector.Collector]:
    with collector.listening() as listening:
        yield listening


def sink(receiver: collector.Collector, **changes: object) -> otlp.OtlpSink:
    made = otlp.OtlpSink(groups.Telemetry(otlp_endpoint=receiver.url, **changes))  # type: ignore[arg-type]
    made.open()
    return made


def batch(*records: model.Record) -> batches.Batch:
    made = batches.Batch()
    made.add(b"1-1", (b"b", msgspec.msgpack.encode(records)))
    return made


def sent(receiver: collector.Collector, *records: model.Record) -> dict[str, trace_pb2.Span]:
    made = sink(receiver)
    made.commit(batch(*records))
    made.close()
    return receiver.spans()


def test_an_attempt_is_a_span_within_that_of_its_invocation(receiver: collector.Collector) -> None:
    record = samples.ended(accepted_at_ms=1_000, started_at_ms=1_350, ended_at_ms=1_400, queue_ms=30, init_ms=320,
        cold_start=model.ColdStart.FULL, steps=(model.ColdStartStep("start", 300), model.ColdStartStep("import", 20)),
        trigger="upload", object="photos/in/a.jpg")  # fmt: skip
    spans = sent(receiver, record)
    whole = spans.pop(tracing.span_id(record.invocation_id))
    attempt = spans.pop(tracing.attempt_span_id(record.invocation_id, 1))
    assert (whole.name, whole.kind, whole.parent_span_id) == ("hello", trace_pb2.Span.SPAN_KIND_CONSUMER, b"")
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (1_000_000_000, 1_400_000_000)
    assert (attempt.start_time_unix_nano, attempt.end_time_unix_nano) == (1_350_000_000, 1_400_000_000)
    assert attributes(whole)["faas.document.name"] == "in/a.jpg"
    assert attributes(whole)["faas.trigger"] == "datasource"
    assert attributes(attempt)["faas.coldstart"] is True
    waits = {span.name: (span.start_time_unix_nano, span.end_time_unix_nano) for span in spans.values()}
    assert waits == {
        "queue": (1_000_000_000, 1_030_000_000),
        "init start": (1_030_000_000, 1_330_000_000),
        "init import": (1_330_000_000, 1_350_000_000),
    }
    assert {span.parent_span_id.hex() for span in (attempt, *spans.values())} == {whole.span_id.hex()}
    assert {span.trace_id.hex() for span in (whole, attempt, *spans.values())} == {
        tracing.trace_id(record.invocation_id)
    }
    (of_resource,) = receiver.requests[0].resource_spans
    assert attributes(of_resource.resource)["service.name"] == "hello"
    assert receiver.paths == ["/v1/traces"]


def test_what_follows_is_below_its_cause_whatever_came_first(receiver: collector.Collector) -> None:
    first = samples.ended()
    second = samples.ended(parent_id=first.invocation_id, root_id=first.invocation_id, function="next")
    spans = sent(receiver, second, first)
    assert {span.trace_id.hex() for span in spans.values()} == {tracing.trace_id(first.invocation_id)}
    below = spans[tracing.span_id(second.invocation_id)]
    assert below.parent_span_id.hex() == tracing.span_id(first.invocation_id)


def test_a_trace_that_a_caller_brought_has_the_invocation_below_its_span(receiver: collector.Collector) -> None:
    record = samples.ended(trace=model.TraceContext(PARENT, "a=1"))
    whole = sent(receiver, record)[tracing.span_id(record.invocation_id)]
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    assert (whole.trace_state, whole.flags) == ("a=1", 1)


def test_a_trace_that_its_caller_does_not_sample_is_not_sent(receiver: collector.Collector) -> None:
    assert sent(receiver, samples.ended(trace=model.TraceContext(f"{PARENT[:-2]}00"))) == {}
    assert receiver.requests == []


def test_a_failure_says_what_it_was(receiver: collector.Collector) -> None:
    failure = model.Failure("ValueError", "no", ('  File "app.py", line 1\n',))
    record = samples.ended(status=model.Status.ERROR, error=failure, final=False)
    spans = sent(receiver, record, msgspec.structs.replace(record, attempt=2, final=True))
    assert len(spans) == 4  # each attempt, the first one's queue, and the invocation, once
    attempt = spans[tracing.attempt_span_id(record.invocation_id, 1)]
    assert (attempt.status.code, attempt.status.message) == (trace_pb2.Status.STATUS_CODE_ERROR, "error")
    (event,) = attempt.events
    assert attributes(event)["exception.message"] == "no"


def test_a_batch_that_is_sent_again_names_the_same_spans(receiver: collector.Collector) -> None:
    made, records = sink(receiver), [samples.ended() for _ in range(1_200)]
    for _ in range(2):
        made.commit(batch(*records))
    made.close()
    assert len(receiver.requests) == 6
    assert len(receiver.spans()) == 3 * len(records)


def test_headers_go_along_and_wrong_ones_are_refused(receiver: collector.Collector) -> None:
    made = sink(receiver, otlp_headers="x-api-key=a%20b, x-tenant=1")
    made.commit(batch(samples.ended()))
    made.close()
    assert (receiver.headers[0]["x-api-key"], receiver.headers[0]["x-tenant"]) == ("a b", "1")
    for wrong in ("=1", "a=%0d%0ab"):
        with pytest.raises(errors.BadRequest):
            otlp.OtlpSink(groups.Telemetry(otlp_endpoint=receiver.url, otlp_headers=wrong))


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_collector_that_takes_nothing_now_is_asked_again(receiver: collector.Collector, status: int) -> None:
    made, record = sink(receiver), samples.ended()
    receiver.status = status
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match=str(status)):
            made.commit(batch(record))
    receiver.status = 200
    made.commit(batch(record))
    made.close()
    assert tracing.span_id(record.invocation_id) in receiver.spans()


def test_what_a_collector_will_never_take_is_left_out_and_said(
    receiver: collector.Collector, caplog: pytest.LogCaptureFixture
) -> None:
    made = sink(receiver)
    with caplog.at_level(logging.WARNING):
        receiver.status = 400
        made.commit(batch(samples.ended()))
        receiver.status, receiver.answer = 200, b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "old"}}'
        made.commit(batch(samples.ended()))
        for nothing in (
            b"not json",
            b'{"partialSuccess": {"rejectedSpans": "many"}}',
            b'{"partialSuccess": {"rejectedSpans": -1}}',
        ):
            receiver.answer = nothing
            made.commit(batch(samples.ended()))
    made.close()
    assert [record.getMessage() for record in caplog.records] == ["spans_refused", "spans_refused"]


def test_a_connection_that_has_died_meanwhile_costs_nothing(receiver: collector.Collector) -> None:
    made, records = sink(receiver), [samples.ended() for _ in range(3)]
    receiver.hangs_up = True
    for record in records:
        made.commit(batch(record))
    made.close()
    assert {tracing.span_id(record.invocation_id) for record in records} <= receiver.spans().keys()


def test_nobody_at_the_endpoint_is_said_with_its_address() -> None:
    made = otlp.OtlpSink(groups.Telemetry(otlp_endpoint="http://127.0.0.1:9"))
    made.open()
    with pytest.raises(errors.Unavailable, match=r"127.0.0.1:9"):
        made.commit(batch(samples.ended()))
    made.close()


async def test_a_recorder_brings_what_was_recorded_while_the_collector_was_away(
    settings: settings_module.Settings, receiver: collector.Collector
) -> None:
    engine = database.open_database(settings.data)
    queue = await invocations.Queue.of(settings.redis, settings.queues, settings.results)
    receiver.status = 503
    stop = asyncio.Event()
    beside = [otlp.OtlpSink(groups.Telemetry(otlp_endpoint=receiver.url))]
    recording = asyncio.create_task(
        recorder.run(settings.data, settings.redis, settings.queues, stop, beside), name="recorder"
    )
    records = [samples.ended(invocation_id=ids.new_id()) for _ in range(5)]
    for record in records:
        await queue.link.call("XADD", queue.keys.records, "*", "r", msgspec.msgpack.encode(record))

    async def written() -> bool:
        return len(await asyncio.to_thread(ledger.Ledger(engine).find)) == 5

    await eventually(written, within=20)
    receiver.status = 200

    wanted = {tracing.span_id(record.invocation_id) for record in records}
    await eventually(lambda: wanted <= receiver.spans().keys(), within=20)
    stop.set()
    await recording
    queue.close()
    engine.dispose()
