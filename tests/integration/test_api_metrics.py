"""/metrics as Prometheus reads it, held against what the ledger and the queue say themselves."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from prometheus_client import parser

from faas.cluster import catalog
from faas.core import model
from faas.core import settings as settings_module
from faas.queue import destined, outbox, skips, unfit
from faas.store import database, ledger
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
            billed = of(got, "faas_billed_ms_total", function=function, trigger=trigger)
            assert billed == sum(r.billed_ms for r in these)
            cost = of(got, "faas_cost_total", function=function, trigger=trigger)
            assert cost == pytest.approx(sum(r.cost_pico for r in these) / 10**12, rel=1e-12)
        check(got, "faas_queue_seconds", function, [r.queue_ms * 1_000 for r in mine])
        check(got, "faas_duration_seconds", function, [r.duration_us for r in mine if r.status in RAN])
        cold_inits = [r.init_ms * 1_000 for r in mine if r.cold_start is not model.ColdStart.NONE]
        check(got, "faas_init_seconds", function, cold_inits)
    assert sum(line.billed_ms for line in api.ledger.bill(0, "function")) == sum(
        v for (name, _), v in got.items() if name == "faas_billed_ms_total"
    )


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
        before = await scraped(api)
    async with serving(settings) as again:
        assert await scraped(again) == before
    assert of(before, "faas_init_seconds_bucket", function="hello", le="0.25") == 3
    assert of(before, "faas_init_seconds_bucket", function="hello", le="0.1") == 0


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
    await api.call("POST", "/api/v1/functions/hello/invocations", headers={"Faas-Invocation-Type": "async"})
    api.record(cold_start=model.ColdStart.FULL)
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
