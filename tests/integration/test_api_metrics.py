"""/metrics as Prometheus reads it, held against what the ledger and the queue say themselves."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from prometheus_client import parser

from faas.cli import platform_dir
from faas.cluster import catalog
from faas.core import clock, model
from faas.core import settings as settings_module
from faas.core.money import budgets
from faas.queue import destined, outbox, skips, unfit
from faas.store import budgets as reached_budgets
from faas.store import counters, database, ledger
from tests import samples
from tests.served_api import ControlApi, serving

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
RAN = (model.Status.OK, model.Status.ERROR, model.Status.TIMEOUT, model.Status.OOM)


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


async def scraped(api: ControlApi) -> Samples:
    async with api.session.get(f"{api.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = await answer.text()
    families = parser.text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0)


def some_records(count: int) -> list[model.Record]:
    chance = random.Random(4)
    return [
        samples.ended(
            function=chance.choice(["a", "b"]),
            trigger=chance.choice(["http", "timer"]),
            status=chance.choice(list(model.Status)),
            cold_start=chance.choice(list(model.ColdStart)),
            ended_at_ms=chance.randrange(5 * 86_400_000),
            duration_us=chance.choice([0, 99, 100, 101, 2_500, 999_999, 10**6, 901 * 10**6, chance.randrange(10**7)]),
            queue_ms=chance.randrange(2_000),
            init_ms=chance.randrange(500),
            billed_ms=chance.randrange(1_000),
            cost_pico=chance.randrange(10**9),
            final=chance.random() < 0.8,
            dead=chance.random() < 0.1,
            steps=tuple(model.ColdStartStep(name, chance.randrange(1, 900)) for name in ("start", "import")),
            logs=(),
        )
        for _ in range(count)
    ]


def commit_in_parts(settings: settings_module.Settings, records: list[model.Record], seed: int) -> None:
    """Be one recorder: batches in an order of its own, some of them twice."""
    engine = database.open_database(settings.data)
    book = ledger.Ledger(engine)
    chance = random.Random(seed)
    mixed = chance.sample(records, len(records))
    for start in range(0, len(mixed), 37):
        for _ in range(chance.choice([1, 2])):
            book.commit(mixed[start : start + 37])
    engine.dispose()


async def test_the_numbers_are_the_ledgers_with_several_recorders_that_all_replay(api: ControlApi) -> None:
    made = some_records(400)
    with ThreadPoolExecutor(3) as recorders:
        done = [recorders.submit(commit_in_parts, api.settings, made, seed) for seed in range(3)]
        for each in done:
            await asyncio.wrap_future(each)
    records = api.ledger.find(limit=10_000)
    assert len(records) == len(made)
    got = await scraped(api)
    counted = Counter((r.function, r.trigger, r.status.value) for r in records)
    for (function, trigger, status), count in counted.items():
        assert of(got, "faas_invocations_total", function=function, trigger=trigger, status=status) == count
    assert sum(v for (name, _), v in got.items() if name == "faas_invocations_total") == len(records)
    for function in ("a", "b"):
        mine = [r for r in records if r.function == function]
        for kind in ("prewarmed", "full"):
            cold = of(got, "faas_cold_starts_total", function=function, kind=kind)
            assert cold == sum(r.cold_start.value == kind for r in mine)
        for trigger in ("http", "timer"):
            these = [r for r in mine if r.trigger == trigger]
            billed = of(got, "faas_billed_seconds_total", function=function, trigger=trigger)
            assert billed == pytest.approx(sum(r.billed_ms for r in these) / 1_000, rel=1e-12)
            cost = of(got, "faas_cost_total", function=function, trigger=trigger)
            assert cost == pytest.approx(sum(r.cost_pico for r in these) / 10**12, rel=1e-12)
        check(got, "faas_queue_seconds", function, [r.queue_ms * 1_000 for r in mine])
        check(got, "faas_duration_seconds", function, [r.duration_us for r in mine if r.status in RAN])
        cold_inits = [r.init_ms * 1_000 for r in mine if r.cold_start is not model.ColdStart.NONE]
        check(got, "faas_init_seconds", function, cold_inits)
        for figure, counts in (("retries", not_final), ("dead_letters", is_dead)):
            assert of(got, f"faas_{figure}_total", function=function) == sum(map(counts, mine))
    for step in ("start", "import"):
        values = [s.ms for r in records if r.cold_start is not model.ColdStart.NONE for s in r.steps if s.name == step]
        assert of(got, "faas_cold_start_step_seconds_count", step=step) == len(values)
        assert of(got, "faas_cold_start_step_seconds_sum", step=step) == pytest.approx(sum(values) / 1_000)
    assert sum(line.billed_ms for line in api.ledger.bill(0, "function")) == pytest.approx(
        1_000 * sum(v for (name, _), v in got.items() if name == "faas_billed_seconds_total")
    )


def not_final(record: model.Record) -> bool:
    return not record.final


def is_dead(record: model.Record) -> bool:
    return record.dead


def check(got: Samples, name: str, function: str, values_us: list[int]) -> None:
    """The histogram of one function holds exactly these values."""
    bounds = {dict(labels)["le"]: v for (n, labels), v in got.items() if n == f"{name}_bucket" and
              dict(labels)["function"] == function}  # fmt: skip
    assert len(bounds) == 21
    for bound, count in bounds.items():
        assert count == sum(value / 10**6 <= float(bound) for value in values_us), (name, bound)
    assert bounds["+Inf"] == of(got, f"{name}_count", function=function) == len(values_us)
    assert of(got, f"{name}_sum", function=function) == pytest.approx(sum(values_us) / 10**6, rel=1e-12)


async def test_the_numbers_are_the_same_after_a_restart(settings: settings_module.Settings) -> None:
    async with serving(settings) as api:
        api.deploy()
        for _ in range(3):
            api.record(cold_start=model.ColdStart.FULL, init_ms=120)
        before = recorded(await scraped(api))
    async with serving(settings) as again:
        assert recorded(await scraped(again)) == before
    assert of(before, "faas_init_seconds_bucket", function="hello", le="0.25") == 3
    assert of(before, "faas_init_seconds_bucket", function="hello", le="0.1") == 0


def recorded(got: Samples) -> Samples:
    """Without what is measured at each scrape."""
    return {key: value for key, value in got.items() if not key[0].endswith("_latency_seconds")}


async def test_beyond_so_many_functions_the_others_are_added_up_and_nobody_changes_sides(
    settings: settings_module.Settings,
) -> None:
    few = settings_module.changed(settings, metrics_functions=2)
    async with serving(few) as api:
        for name, count in (("a", 1), ("b", 3), ("c", 2), ("d", 1)):
            for _ in range(count):
                api.record(function=name, cold_start=model.ColdStart.FULL, init_ms=20, queue_ms=0)
        got = await scraped(api)
        named = {"b": 3, "c": 2, "": 2}
        for function, count in named.items():
            labels = {"function": function, "trigger": "http", "status": "ok"}
            assert of(got, "faas_invocations_total", **labels) == count
            check(got, "faas_init_seconds", function, [20_000] * count)
        shown = {dict(labels)["function"] for (_, labels) in got if "function" in dict(labels)}
        assert shown == {"b", "c", ""}
        for _ in range(9):
            api.record(function="a", ended_at_ms=clock.now_ms())
        api.deploy("e")
        await api.call("POST", "/api/v1/functions/e/invocations", headers={"Faas-Invocation-Type": "async"})
        again = await scraped(api)
        assert of(again, "faas_invocations_total", function="", trigger="http", status="ok") == 11
        assert {dict(labels)["function"] for (_, labels) in again if "function" in dict(labels)} == {"b", "c", ""}


async def test_what_is_recorded_late_of_a_day_long_past_is_counted_when_days_are_read_again(
    settings: settings_module.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as api:
        api.record(ended_at_ms=86_400_000)
        api.record(ended_at_ms=clock.now_ms())
        labels = {"function": "hello", "trigger": "http", "status": "ok"}
        assert of(await scraped(api), "faas_invocations_total", **labels) == 2
        api.record(ended_at_ms=86_400_000)
        api.record(ended_at_ms=clock.now_ms())
        assert of(await scraped(api), "faas_invocations_total", **labels) == 3
        monkeypatch.setattr(counters, "_READ_AGAIN_S", 0.0)
        assert of(await scraped(api), "faas_invocations_total", **labels) == 4


async def test_whoever_scrapes_at_once_gets_one_answer(api: ControlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = counters.Counters.read
    monkeypatch.setattr(counters.Counters, "read", lambda self: reads.append(1) or read(self))
    api.record()
    found = await asyncio.gather(*(scraped(api) for _ in range(5)))
    assert len(reads) < 5
    assert all(each == found[0] for each in found[1:]) or len(reads) > 1


async def test_memory_and_slots_of_all_nodes(api: ControlApi) -> None:
    versions = await catalog.Catalog.open(api.settings.redis.redis_url, api.settings.redis.redis_prefix)
    for name in ("n1", "n2"):
        state = catalog.NodeState(
            catalog=1, host="h", pid=1, memory_mb=1_000, memory_used_mb=300, memory_peak_mb=70,
            sandboxes={"idle": 2, "busy": 1, "prewarmed": 1},
        )  # fmt: skip
        await versions.renew(name, state, 60_000)
    await versions.close()
    got = await scraped(api)
    mib = 1 << 20
    assert [of(got, f"faas_memory_{what}_bytes") for what in ("limit", "reserved", "used")] == [
        2_000 * mib, 600 * mib, 140 * mib,
    ]  # fmt: skip
    assert (of(got, "faas_slots", state="busy"), of(got, "faas_slots", state="free")) == (2, 4)


async def test_how_far_sinks_are_behind(api: ControlApi) -> None:
    async with api.queue() as queue:
        assert of(await scraped(api), "faas_recorder_lag_seconds", sink="ledger") == 0
        await queue.link.call("XGROUP", "CREATE", queue.keys.records, "recorders", "0", "MKSTREAM")
        await queue.link.call("XGROUP", "CREATE", queue.keys.records, "sink:otlp", "0")
        old_ms = clock.now_ms() - 90_000
        entry = await queue.link.call("XADD", queue.keys.records, f"{old_ms}-1", "r", b"")
        unread = await scraped(api)
        await queue.link.call("XREADGROUP", "GROUP", "recorders", "c", "STREAMS", queue.keys.records, ">")
        pending = await scraped(api)
        await queue.link.call("XACK", queue.keys.records, "recorders", entry)
        done = await scraped(api)
    for got in (unread, pending):
        assert 80 < of(got, "faas_recorder_lag_seconds", sink="ledger") < 400
    assert of(done, "faas_recorder_lag_seconds", sink="ledger") == 0
    assert of(done, "faas_recorder_lag_seconds", sink="otlp") > 80


async def test_the_processes_of_the_platform_are_told_with_what_they_use(settings: settings_module.Settings) -> None:
    async with serving(settings) as api:
        processes = [
            {"name": "node", "pid": os.getpid(), "restarts": 3}, {"name": "recorder", "pid": None, "restarts": 1},
        ]  # fmt: skip
        facts = platform_dir.published(settings.data.root) or {}
        platform_dir.publish(settings.data.root, {**facts, "processes": processes})
        got = await scraped(api)
    assert of(got, "faas_process_restarts_total", process="node") == 3
    assert of(got, "faas_process_cpu_seconds_total", process="node") > 0.1
    assert of(got, "faas_process_resident_memory_bytes", process="node") > 10 << 20
    assert ("faas_process_cpu_seconds_total", frozenset({("process", "recorder")})) not in got
    assert of(got, "faas_process_restarts_total", process="recorder") == 1


async def test_what_waits_and_for_how_long_and_what_has_drifted(api: ControlApi) -> None:
    ref, headers = api.deploy().ref, {"Faas-Invocation-Type": "async"}
    for _ in range(3):
        await api.call("POST", "/api/v1/functions/hello/invocations", headers=headers)
    async with api.queue() as queue:
        await queue.claim("n1", ref, 1)
        second = api.deploy().ref
        await api.call("POST", "/api/v1/functions/hello/invocations", headers=headers)
        await queue.link.call("HINCRBY", queue.keys.counts(second), "accepted", 2)
        entry = (await queue.link.call("XRANGE", queue.keys.queue(ref, "async"), "-", "+"))[1][0]
        got = await scraped(api)
        seconds, _ = await queue.link.call("TIME")
    assert of(got, "faas_waiting", function="hello") == 3
    assert of(got, "faas_running", function="hello") == 1
    assert of(got, "faas_retrying", function="hello") == 0
    assert of(got, "faas_conservation_drift", function="hello", revision="1") == 0
    assert of(got, "faas_conservation_drift", function="hello", revision="2") == 2
    age = of(got, "faas_oldest_waiting_seconds", function="hello")
    assert 0 < age <= int(seconds) + 1 - int(entry.split(b"-")[0]) / 1000


async def test_sandboxes_of_all_nodes_by_state(api: ControlApi) -> None:
    versions = await catalog.Catalog.open(api.settings.redis.redis_url, api.settings.redis.redis_prefix)
    for name, sandboxes in (("n1", {"idle": 2, "busy": 1}), ("n2", {"idle": 3})):
        state = catalog.NodeState(catalog=1, host="h", pid=1, memory_mb=1, sandboxes=sandboxes, journal_bytes=700)
        await versions.renew(name, state, 60_000)
    await versions.close()
    got = await scraped(api)
    assert of(got, "faas_journal_bytes") == 1_400
    assert (of(got, "faas_sandboxes", state="idle"), of(got, "faas_sandboxes", state="busy")) == (5, 1)
    assert of(got, "faas_nodes") == 2


async def test_what_nodes_were_handed_counts_as_accepted_and_running(api: ControlApi) -> None:
    api.deploy()
    versions = await catalog.Catalog.open(api.settings.redis.redis_url, api.settings.redis.redis_prefix)
    for name in ("n1", "n2"):
        state = catalog.NodeState(catalog=1, host="h", pid=1, memory_mb=1, handed_off={"hello@1": 2})
        await versions.renew(name, state, 60_000)
    await versions.close()
    got = await scraped(api)
    assert of(got, "faas_running", function="hello") == 4
    assert of(got, "faas_conservation_drift", function="hello", revision="1") == 0


async def test_a_name_with_quotes_and_line_ends_breaks_no_line(api: ControlApi) -> None:
    api.record(trigger='odd"\\\n')
    got = await scraped(api)
    assert of(got, "faas_invocations_total", function="hello", trigger='odd"\\\n', status="ok") == 1


async def test_every_metric_and_its_labels_are_documented(api: ControlApi) -> None:
    api.functions.activate([api.deploy()], [model.Bucket(name="photos")])
    api.deploy("limited", limited(10, model.Per.DAY))
    await api.call("POST", "/api/v1/functions/hello/invocations", headers={"Faas-Invocation-Type": "async"})
    steps = (model.ColdStartStep("import", 5),)
    api.record(cold_start=model.ColdStart.FULL, steps=steps, init_ms=5, final=False, dead=True)
    processes = [{"name": "node", "pid": os.getpid(), "restarts": 0}]
    facts = platform_dir.published(api.settings.data.root) or {}
    platform_dir.publish(api.settings.data.root, {**facts, "processes": processes})
    async with api.queue() as queue:
        await queue.link.call("XGROUP", "CREATE", queue.keys.records, "recorders", "0", "MKSTREAM")
    versions = await catalog.Catalog.open(api.settings.redis.redis_url, api.settings.redis.redis_prefix)
    await versions.renew(
        "n1", catalog.NodeState(catalog=1, host="h", pid=1, memory_mb=1, sandboxes={"idle": 1}), 60_000
    )
    await versions.close()
    api.undelivered.keep(samples.undelivered())
    of = samples.undelivered()
    async with api.queue() as queue:
        settled = msgspec.msgpack.decode(of.settled, type=destined.Settled)
        await outbox.put_back(queue, settled, of.invocation, 1)
        await unfit.tell(queue, "photos", unfit.Told(1), 60_000)
        await skips.count(queue, "hello", "hello/0123", 1)
    shown: dict[str, set[str]] = {}
    for name, labels in await scraped(api):
        family = re.sub("_(bucket|count|sum|created)$", "", name)
        shown.setdefault(family, set()).update(dict(labels).keys() - {"le"})
    page = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `faas_")]
    assert {row[1].strip(" `"): set(re.findall("`(\\w+)`", row[3])) for row in rows} == shown


# -- budgets


def limited(amount_pico: int, per: model.Per, then: model.Then = model.Then.STOP) -> model.FunctionConfig:
    budget = model.CostBudget(amount_pico=amount_pico, per=per, then=then)
    return model.FunctionConfig(runtime="python3", handler="app.handler", budget=budget)


async def test_budgets_are_told_with_what_is_spent_of_them(settings: settings_module.Settings) -> None:
    changed = settings_module.changed(settings, budget_amount="3", budget_per="month", budget_then="warn")
    now_ms = clock.now_ms()
    async with serving(changed) as api:
        api.deploy("shop", limited(2 * 10**12, model.Per.DAY))
        api.deploy("mail", limited(10**12, model.Per.MONTH))
        api.deploy("free", model.FunctionConfig(runtime="python3", handler="app.handler"))
        before = await scraped(api)
        assert of(before, "faas_budget_spent", function="shop", per="day") == 0
        assert of(before, "faas_budgets", state="under") == 3
        for function, cost_pico in (("shop", 5 * 10**11), ("shop", 25 * 10**10), ("free", 10**12)):
            api.record(function=function, cost_pico=cost_pico, ended_at_ms=now_ms)
        api.record(function="shop", cost_pico=10**15, ended_at_ms=now_ms - 40 * 86_400_000)
        found = await scraped(api)
        assert {key: value for key, value in found.items() if key[0].startswith("faas_budget_")} == {
            ("faas_budget_amount", frozenset({("function", "*"), ("per", "month")})): 3,
            ("faas_budget_spent", frozenset({("function", "*"), ("per", "month")})): 1.75,
            ("faas_budget_amount", frozenset({("function", "shop"), ("per", "day")})): 2,
            ("faas_budget_spent", frozenset({("function", "shop"), ("per", "day")})): 0.75,
            ("faas_budget_amount", frozenset({("function", "mail"), ("per", "month")})): 1,
            ("faas_budget_spent", frozenset({("function", "mail"), ("per", "month")})): 0,
        }
        listed = {each["function"]: each["spent_pico"] for each in (await api.get("/api/v1/budgets"))["budgets"]}
        assert listed == {"*": 1_750 * 10**9, "shop": 750 * 10**9, "mail": 0}


async def test_budgets_are_counted_by_state_and_those_without_a_name_are_not_shown(
    settings: settings_module.Settings,
) -> None:
    async with serving(settings_module.changed(settings, metrics_functions=1)) as api:
        for name in ("a", "b", "c"):
            api.deploy(name, limited(10, model.Per.DAY))
        api.record(function="a", cost_pico=10, ended_at_ms=clock.now_ms())
        reached = reached_budgets.ReachedBudgets(api.functions._engine)
        period = budgets.period(model.Per.DAY, clock.now_ms())
        for function in ("a", "b", "gone"):
            reached.note(
                budgets.Reached(
                    function=function, period=period.name, per=model.Per.DAY, then=model.Then.STOP, amount_pico=10,
                    spent_pico=10, at_ms=clock.now_ms(), until_ms=period.until_ms,
                )
            )  # fmt: skip
        reached.lift("b", clock.now_ms())
        found = await scraped(api)
        assert [of(found, "faas_budgets", state=each) for each in ("under", "reached", "stopped", "lifted")] == [
            1, 0, 1, 1,
        ]  # fmt: skip
        assert [dict(key[1])["function"] for key in found if key[0] == "faas_budget_spent"] == ["a"]
