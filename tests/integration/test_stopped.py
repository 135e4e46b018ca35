"""A function whose budget is reached: refused at every way in, its queue waits, and it goes on when it may again."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from faas.core import errors, model, settings
from faas.core.calls import dispatch
from faas.core.money import budgets
from faas.delivery import carriers, parcels
from faas.queue import inlet, invocations, replies
from faas.serving import port
from faas.store import budgets as reached_budgets
from faas.store import database, functions
from runners import node as runner
from tests import node_bench, samples
from tests.command import faas
from tests.eventually import eventually
from tests.served_api import ControlApi, serving
from triggers import timer, upload
from triggers.gateway import gateway as gateways
from triggers.gateway import limits, routes, server

TESTS = Path(__file__).parents[1]
CODE = TESTS / "docker" / "sandbox_functions"
HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 10**6


def stop(name: str, for_ms: int = HOUR_MS) -> dict[str, budgets.BudgetStop]:
    return {name: budgets.BudgetStop(name, 5 * 10**12, model.Per.DAY, now_ms() + for_ms)}


def reached(name: str, then: model.Then = model.Then.STOP, until_ms: int | None = None) -> budgets.Reached:
    return budgets.Reached(
        function=name, period="now", per=model.Per.DAY, then=then, amount_pico=5 * 10**12, spent_pico=6 * 10**12,
        at_ms=now_ms(), until_ms=until_ms or now_ms() + HOUR_MS,
    )  # fmt: skip


# -- the gateway

HELLO = model.Revision(
    function="hello",
    number=1,
    artifact="0" * 64,
    config=model.FunctionConfig(
        runtime="python3", handler="app.handler", triggers=(model.HttpTrigger(path="/hello/{name}"),)
    ),
    created_at_ms=0,
)


class Gateway:
    """A gateway whose table the test sets, and a client of it."""

    def __init__(self) -> None:
        self.table = routes.Routes([HELLO])
        self.session: aiohttp.ClientSession


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    opened = await invocations.Queue.connect(redis_url, prefix)
    yield opened
    opened.close()


@pytest.fixture
async def gateway(redis_url: str, prefix: str, queue: invocations.Queue) -> AsyncIterator[Gateway]:
    answers = await replies.Replies.open(redis_url, prefix)
    bounds = limits.Limits(max_event_bytes=2_000, max_queue_wait_ms=100)
    held = Gateway()
    served = gateways.Gateway(queue, answers, dispatch.NoHandOff(), lambda: held.table, bounds)
    async with (
        port.serving(server.GatewayServer(served), "127.0.0.1", 0, grace_s=5, farewell_s=0.0) as url,
        aiohttp.ClientSession(base_url=url) as held.session,
    ):
        yield held
    await answers.close()


@pytest.mark.parametrize("name", ["hello", budgets.ALL])
@pytest.mark.parametrize("path", ["/hello/ada", "/fn/hello", "/fn/hello/deep"])
@pytest.mark.parametrize("fields", [{}, {"Faas-Invocation-Type": "async"}, {"Idempotency-Key": "k"}])
async def test_the_gateway_refuses_it_whatever_the_call(
    gateway: Gateway, queue: invocations.Queue, name: str, path: str, fields: dict[str, str]
) -> None:
    gateway.table = routes.Routes([HELLO], stop(name))
    async with gateway.session.post(path, headers=fields) as refused:
        body = await refused.json()
    assert (refused.status, body["error"]["code"]) == (429, "budget_reached")
    assert (refused.headers["Faas-Error"], refused.headers["Retry-After"]) == ("platform", "3600")
    assert f"faas budget lift '{name}'" in body["error"]["hint"]
    assert sum(counts.accepted for counts in (await queue.counts()).values()) == 0


async def test_the_gateway_takes_calls_again_when_the_period_is_over_without_being_told(gateway: Gateway) -> None:
    over = budgets.BudgetStop("hello", 5, model.Per.DAY, now_ms() - 1)
    gateway.table = routes.Routes([HELLO], {"hello": over})
    async with gateway.session.post("/hello/ada", headers={"Faas-Invocation-Type": "async"}) as taken:
        assert taken.status == 202


# -- the control API and the command line


@pytest.fixture
async def api(settings: settings.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        budget = model.CostBudget(amount_pico=5 * 10**12, per=model.Per.DAY, then=model.Then.STOP)
        config = model.FunctionConfig(runtime="python3", handler="app.handler", budget=budget)
        served.deploy("hello", config)
        yield served


def store(api: ControlApi) -> reached_budgets.ReachedBudgets:
    return reached_budgets.ReachedBudgets(database.open_database(api.settings.data))


async def test_the_control_api_refuses_calls_batches_and_dead_letters(api: ControlApi) -> None:
    letter = model.Invocation(
        id="letter",
        function="hello",
        revision=1,
        trigger="invoke",
        mode=model.Mode.ASYNC,
        event=b"{}",
        accepted_at_ms=1,
    )
    record = samples.record(letter, model.Status.ERROR, dead=True)
    api.ledger.commit([record], letters={("letter", 1): msgspec.msgpack.encode(letter)})
    store(api).note(reached("hello"))
    for path, body in (
        ("/api/v1/functions/hello/invocations", {}),
        ("/api/v1/functions/hello/invocations:batch", [1]),
        ("/api/v1/dead-letters/letter/retry", None),
    ):
        status, value = await api.call("POST", path, json=body)
        assert (status, value["error"]["code"]) == (429, "budget_reached"), path
    ran = await faas(api.settings.data.root, "invoke", "hello", "--json")
    assert (ran.code, ran.error["code"]) == (6, "budget_reached")


async def test_budgets_are_listed_with_what_is_spent_and_lifted(api: ControlApi) -> None:
    root = api.settings.data.root
    api.record(function="hello", cost_pico=10**12, ended_at_ms=now_ms())
    (listed,) = (await faas(root, "budget", "ls", "--json")).json["budgets"]
    assert (listed["function"], listed["state"], listed["spent_decimal"], listed["amount_decimal"]) == (
        "hello", "under", "1.00", "5.00",
    )  # fmt: skip
    assert (await faas(root, "budget", "lift", "hello")).code == 4
    period = budgets.period(model.Per.DAY, now_ms())
    store(api).note(msgspec.structs.replace(reached("hello"), period=period.name, until_ms=period.until_ms))
    assert [each["state"] for each in (await api.get("/api/v1/budgets"))["budgets"]] == ["stopped"]
    assert "stopped until" in (await faas(root, "status")).err
    assert "budget of hello" in (await faas(root, "bill")).err
    facts = {each["name"]: each for each in (await api.get("/api/v1/health"))["facts"]}
    assert (facts["budgets"]["state"], facts["budgets"]["text"]) == ("warning", "reached: hello (5.00 a day, stopped)")
    assert re.search(r"^budget +5\.00 a day, then stop$", (await faas(root, "describe", "hello")).out, re.MULTILINE)
    assert "stopped" in (await faas(root, "budget", "ls")).out
    lifted = await faas(root, "budget", "lift", "hello")
    assert (lifted.code, "runs on" in lifted.err) == (0, True)
    assert [each["state"] for each in (await api.get("/api/v1/budgets"))["budgets"]] == ["lifted"]
    assert (await faas(root, "invoke", "hello", "--async")).code == 0
    assert (await faas(root, "budget", "lift", "hello", "--json")).code == 4


# -- a node


@pytest.fixture
async def bench(open_folder: Path, settings: settings.Settings) -> AsyncIterator[node_bench.Bench]:
    from faas.core import settings as settings_module

    made = await node_bench.Bench.open(
        settings_module.changed(settings, data_dir=str(open_folder), engine="process", stock_none=1)
    )
    yield made
    await made.close()


async def test_what_waits_for_a_stopped_function_waits_on_and_runs_when_it_may(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo", "hello")
    other = bench.function(CODE, "app.echo", "other")
    node = await bench.node()
    await bench.call(echo)
    current, version = bench.store.list_current(), bench.store.catalog_version()
    await node.adopt(version, current, stop("hello"))
    for number in range(3):
        await bench.send(echo, number)
    # Whoever else has work is served, and that takes longer than a parked read would need to claim.
    assert node_bench.result(await bench.call(other, "other")) == "other"
    await bench.call(other)
    assert (await bench.counts(echo)).waiting == 3
    # Not even claimed, to be given back at once: that would go on for as long as the stop does.
    assert not node.lanes[echo.ref].may_claim()
    await node.adopt(version, current, {})
    await eventually(lambda: _done(bench, echo, 4), within=15)


async def _done(bench: node_bench.Bench, revision: model.Revision, count: int) -> bool:
    return (await bench.counts(revision)).done == count


async def test_a_stop_that_is_over_needs_nobody_to_say_so(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo", "hello")
    node = await bench.node()
    await bench.call(echo)
    await node.adopt(bench.store.catalog_version(), bench.store.list_current(), stop("hello", for_ms=1_500))
    await bench.send(echo)
    assert (await bench.counts(echo)).waiting == 1
    await eventually(lambda: _done(bench, echo, 2), within=15)


async def test_a_node_that_starts_knows_what_is_stopped_before_it_claims(bench: node_bench.Bench) -> None:
    echo = bench.function(CODE, "app.echo", "hello")
    other = bench.function(CODE, "app.echo", "other")
    for number in range(3):
        await bench.send(echo, number)
    held = reached_budgets.ReachedBudgets(database.open_database(bench.settings.data))
    held.note(reached("hello"))
    adopt, runner.Node.adopt = runner.Node.adopt, _adopts_nothing  # type: ignore[assignment, method-assign]
    try:
        await bench.node()
        assert node_bench.result(await bench.call(other, 1)) == 1
        assert (await bench.counts(echo)).waiting == 3
    finally:
        runner.Node.adopt = adopt  # type: ignore[method-assign]


async def _adopts_nothing(*_: object) -> None:
    """The first look at the catalog takes longer than the first claim."""


async def test_who_stands_in_line_is_told_and_what_runs_goes_on(bench: node_bench.Bench) -> None:
    slow = bench.function(TESTS / "functions" / "slow", "app.handler", "hello", max_concurrency=1)
    node = await bench.node()
    await bench.call(slow, 0)
    running = bench.offer(node, bench.invocation(slow, 1.0))
    waiting = bench.offer(node, bench.invocation(slow, 0))
    assert running is not None
    assert waiting is not None
    await node.adopt(bench.store.catalog_version(), bench.store.list_current(), stop("hello"))
    with pytest.raises(errors.BudgetReached):
        await waiting
    assert (await running).record.status is model.Status.OK


# -- triggers


async def test_a_timer_skips_and_says_so(
    settings: settings.Settings, queue: invocations.Queue, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = functions.Functions(database.open_database(settings.data))
    trigger = model.TimerTrigger(every_ms=1_000, overlap=model.Overlap.QUEUE)
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=(trigger,))
    catalog.activate([catalog.add_revision("tick", "0" * 64, config)], [])
    budgets_of = reached_budgets.ReachedBudgets(database.open_database(settings.data))
    budgets_of.note(reached("tick"))
    halt = asyncio.Event()
    task = asyncio.create_task(timer.run(settings.sandboxes, queue, catalog, halt))
    skipped = "timer_skipped"
    await eventually(lambda: any(record.message == skipped for record in caplog.records), within=10)
    assert (await queue.counts()).get("tick@1", model.Counts()).accepted == 0
    (said,) = {record.reason for record in caplog.records if record.message == skipped}  # type: ignore[attr-defined]
    assert said == "its budget is reached"
    budgets_of.lift("tick", now_ms())
    await eventually(lambda: _accepted(queue, "tick@1"), within=10)
    halt.set()
    await task


async def _accepted(queue: invocations.Queue, ref: str) -> bool:
    return (await queue.counts()).get(ref, model.Counts()).accepted > 0


async def test_an_upload_waits_until_its_function_may_run(
    settings: settings.Settings, queue: invocations.Queue, caplog: pytest.LogCaptureFixture
) -> None:
    folder = settings.data.root / "buckets" / "b"
    folder.mkdir(parents=True)
    catalog = functions.Functions(database.open_database(settings.data))
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=(model.UploadTrigger(bucket="b"),))
    catalog.activate([catalog.add_revision("f", "0" * 64, config)], [model.Bucket(name="b")])
    budgets_of = reached_budgets.ReachedBudgets(database.open_database(settings.data))
    budgets_of.note(reached("f"))
    halt = asyncio.Event()
    task = asyncio.create_task(upload.run(settings.sandboxes, settings.data, queue, catalog, halt))
    (folder / "photo").write_text("x")
    await eventually(lambda: any(record.message == "upload_waits" for record in caplog.records), within=10)
    assert (await queue.counts()).get("f@1", model.Counts()).accepted == 0
    budgets_of.lift("f", now_ms())
    await eventually(lambda: _accepted(queue, "f@1"), within=40)
    halt.set()
    await task


async def test_a_destination_that_is_stopped_is_tried_again_later(
    settings: settings.Settings, queue: invocations.Queue
) -> None:
    catalog = functions.Functions(database.open_database(settings.data))
    config = model.FunctionConfig(runtime="python3", handler="app.handler")
    catalog.activate([catalog.add_revision("next", "0" * 64, config)], [])
    reached_budgets.ReachedBudgets(database.open_database(settings.data)).note(reached("next"))
    carrier = carriers.ToFunctions(inlet.Inlet(queue), catalog, max_event_bytes=1_000, max_waiting=10)
    parcel = parcels.Parcel(id="d", about="i", of="f", body=b"{}", attempt=1)
    with pytest.raises(errors.BudgetReached):
        await carrier.carry(None, parcel, model.ToFunction(function="next"))  # type: ignore[arg-type]
