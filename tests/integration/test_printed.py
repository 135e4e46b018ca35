"""Every line that a function prints has a place in its log, whatever prints it and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from faas import recorder
from faas.core import model
from faas.core import settings as settings_module
from faas.queue import keys, printing
from faas.store import database, logs
from tests import agent_harness, node_bench
from tests.eventually import eventually

CODE = Path(__file__).parents[1] / "functions" / "prints_apart"


@pytest.fixture
async def bench(settings: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    made = await node_bench.Bench.open(settings)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def recording(settings: settings_module.Settings) -> AsyncIterator[logs.Logs]:
    """What a recorder has brought to the ledger so far."""
    stop = asyncio.Event()
    engine = database.open_database(settings.data)
    task = asyncio.create_task(recorder.run(settings.data, settings.redis, settings.queues, stop))
    try:
        yield logs.Logs(engine)
    finally:
        stop.set()
        await task
        engine.dispose()


async def test_what_an_import_prints_is_in_the_log_of_the_first_attempt(bench: node_bench.Bench) -> None:
    function = bench.function(CODE, "app.handler")
    await bench.node()
    printed = [[line.text for line in (await bench.call(function)).record.logs] for _ in range(2)]
    assert printed == [[], []]  # who calls over HTTP is not sent them
    records = await bench.records(2)
    assert [[line.text for line in record.logs] for record in records] == [["imported", "handled"], ["handled"]]


@pytest.mark.parametrize("what", ["thread", "child", "fork"])
async def test_what_goes_on_after_an_attempt_prints_into_its_log(
    bench: node_bench.Bench, settings: settings_module.Settings, what: str
) -> None:
    function = bench.function(CODE, "app.handler", background=True)
    await bench.node()
    async with recording(settings) as ledger:
        called = await bench.call(function, what)
        wanted = ["imported", "handled", f"late from a {what}"]
        await eventually(lambda: [line.text for line in ledger.lines("f")] == wanted)
        late = ledger.lines("f")[-1]
        assert (late.invocation_id, late.attempt) == (called.record.invocation_id, 1)


async def test_what_a_sandbox_printed_that_had_no_attempt_is_in_the_functions_log(
    bench: node_bench.Bench, settings: settings_module.Settings
) -> None:
    function = bench.function(CODE, "app.handler", prewarm=1)
    node = await bench.node()
    async with recording(settings) as ledger:
        await eventually(lambda: function.ref in node.lanes and bool(node.report().get("idle")))
        newer = bench.function(CODE, "app.handler")
        await node.adopt(bench.store.catalog_version(), bench.store.list_current())
        await eventually(lambda: [line.text for line in ledger.lines("f")] == ["imported"], within=30)
        assert (ledger.lines("f")[0].revision, newer.number) == (1, 2)


async def test_it_is_recorded_once_however_often_it_is_read(settings: settings_module.Settings, prefix: str) -> None:
    printed = model.Printed(
        function="f", revision=1, invocation_id="i", attempt=1, lines=(model.LogLine(5, "one"), model.LogLine(5, "two"))
    )
    names = keys.Keys(prefix)
    async with redis.asyncio.from_url(settings.redis.redis_url) as client, recording(settings) as ledger:
        for _ in range(2):
            await client.xadd(names.records, {"o": printing.packed(printed)})
        await eventually(lambda: len(ledger.lines("f")) == 2)
        assert [line.text for line in ledger.lines("f")] == ["one", "two"]


async def test_an_answer_that_is_no_json_is_remarked_on_in_the_log_of_its_attempt(bench: node_bench.Bench) -> None:
    function = bench.function(CODE.parent / "results", "app.handler")
    await bench.node()
    assert (await bench.call(function, "nan")).body == b"NaN"
    (record,) = await bench.records(1)
    assert [line.text for line in record.logs] == [
        "faas: the answer to this request: result is not JSON: it holds NaN, Infinity or half a character, which Python"
        " writes and JSON does not have"
    ]


async def test_there_is_a_bound_on_what_waits(bench: node_bench.Bench) -> None:
    printed = model.Printed(
        function="f", revision=1, invocation_id="i", attempt=1, lines=(model.LogLine(5, "x" * 500),)
    )
    assert [await printing.send(bench.queue, printed, 1_000) for _ in range(2)] == [1, 0]
    assert await printing.send(bench.queue, printed, 10_000) == 1


def test_what_is_printed_at_the_exit_that_a_handler_asks_for_is_its_attempts() -> None:
    with agent_harness.started_agent() as agent:
        agent.load(CODE)
        assert agent.invoke("exit").output.startswith("handled\nat exit\n[ERROR] Runtime.ExitError")
