"""Retries from attempt to attempt: a node, a scheduler's part, and process sandboxes on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from faas.core import model
from faas.core import settings as settings_module
from faas.queue import invocations, retrying
from tests import node_bench, samples
from tests.eventually import eventually
from triggers import delayed

FUNCTIONS = Path(__file__).parents[1] / "functions"
SOON = model.Retries(backoff_ms=20)


@pytest.fixture
async def bench(settings: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    """A bench whose due invocations are moved by two schedulers at once."""
    opened = await node_bench.Bench.open(settings_module.changed(settings, engine="process", stock_none=0))
    stop = asyncio.Event()
    movers = [asyncio.create_task(delayed.run(opened.queue, stop)) for _ in range(2)]
    yield opened
    stop.set()
    await asyncio.gather(*movers)
    await opened.close()


def ended(records: list[model.Record]) -> list[tuple[int, str, bool, bool]]:
    return [(record.attempt, record.status, record.final, record.dead) for record in records]


async def test_a_failing_async_invocation_is_tried_until_it_succeeds(
    bench: node_bench.Bench, open_folder: Path
) -> None:
    revision = bench.function(FUNCTIONS / "retries", "app.fails_until", retries=SOON)
    await bench.node()
    await bench.send(revision, {"file": str(open_folder / "n"), "good": 3})
    assert ended(await bench.records(3)) == [
        (1, "error", False, False), (2, "error", False, False), (3, "ok", True, False),
    ]  # fmt: skip
    assert await bench.counts(revision) == model.Counts(accepted=1, done=1)


async def test_a_handler_knows_which_attempt_it_is(bench: node_bench.Bench, open_folder: Path) -> None:
    revision = bench.function(FUNCTIONS / "retries", "app.notes_its_attempt", retries=SOON)
    await bench.node()
    await bench.send(revision, {"file": str(open_folder / "n")})
    await bench.records(3)
    assert (open_folder / "n").read_text() == "1 2 3 "


async def test_what_never_succeeds_is_dead_after_its_attempts(bench: node_bench.Bench, open_folder: Path) -> None:
    retries = model.Retries(maximum_retry_attempts=1, backoff_ms=20)
    revision = bench.function(FUNCTIONS / "retries", "app.fails_until", retries=retries)
    await bench.node()
    await bench.send(revision, {"file": str(open_folder / "n"), "good": 99})
    assert ended(await bench.records(2)) == [(1, "error", False, False), (2, "error", True, True)]
    assert await bench.counts(revision) == model.Counts(accepted=1, dead=1)


async def test_a_handler_that_says_do_not_retry_is_not_run_again(bench: node_bench.Bench, open_folder: Path) -> None:
    revision = bench.function(FUNCTIONS / "retries", "app.gives_up", retries=SOON)
    await bench.node()
    await bench.send(revision, {"file": str(open_folder / "n")})
    (record,) = await bench.records(1)
    assert (record.final, record.dead) == (True, True)
    assert record.error is not None and record.error.type == "DoNotRetry"
    assert (open_folder / "n").read_text() == "x"


async def test_a_handler_that_says_when_is_obeyed(bench: node_bench.Bench, open_folder: Path) -> None:
    revision = bench.function(FUNCTIONS / "retries", "app.asks_for_time", retries=SOON)
    await bench.node()
    await bench.send(revision, {"file": str(open_folder / "n"), "seconds": 0.5})
    first, second = await bench.records(2)
    assert ended([first, second]) == [(1, "error", False, False), (2, "ok", True, False)]
    assert second.started_at_ms - first.ended_at_ms >= 490


async def test_a_handler_that_cannot_be_imported_is_tried_again(bench: node_bench.Bench) -> None:
    retries = model.Retries(maximum_retry_attempts=1, backoff_ms=20)
    revision = bench.function(FUNCTIONS / "init_raises", "app.handler", retries=retries)
    await bench.node()
    await bench.send(revision)
    assert ended(await bench.records(2)) == [(1, "init_error", False, False), (2, "init_error", True, True)]


async def test_a_sync_call_is_tried_again_only_when_its_function_is_idempotent(
    bench: node_bench.Bench, open_folder: Path
) -> None:
    plain = bench.function(FUNCTIONS / "retries", "app.fails_until", "plain", retries=SOON)
    safe = bench.function(FUNCTIONS / "retries", "app.fails_until", "safe", retries=SOON, idempotent=True)
    node = await bench.node()
    outcome = await bench.call(plain, {"file": str(open_folder / "plain"), "good": 2})
    assert outcome.record.status is model.Status.ERROR
    event = {"file": str(open_folder / "safe"), "good": 3}
    assert node_bench.result(await bench.call(safe, event)) == "done"
    assert bench.offer(node, bench.invocation(safe, event)) is None, "it must wait in Redis to be tried again"
    counts = await eventually(lambda: settled(bench, safe))
    assert counts == model.Counts(accepted=1, done=1)


async def test_a_backlog_of_failures_drains(bench: node_bench.Bench, open_folder: Path) -> None:
    revision = bench.function(FUNCTIONS / "retries", "app.fails_until", retries=SOON, max_concurrency=2)
    await bench.node()
    for number in range(30):
        await bench.send(revision, {"file": str(open_folder / str(number)), "good": 2})
    records = await bench.records(60)
    assert sum(record.final for record in records) == 30
    assert await bench.counts(revision) == model.Counts(accepted=30, done=30)


async def settled(bench: node_bench.Bench, revision: model.Revision) -> model.Counts | None:
    counts = await bench.counts(revision)
    return counts if counts.accepted and counts.accepted == counts.done else None


async def test_what_is_due_later_is_counted_and_stays(bench: node_bench.Bench) -> None:
    revision = bench.function(FUNCTIONS / "echo", "app.handler")
    await bench.send(revision, 1)
    (claim,) = await bench.queue.claim("n1", revision.ref, 1)
    again = msgspec.structs.replace(claim.invocation, attempt=2)
    answer = await retrying.send(bench.queue, claim, record_of(claim), again, 60_000)
    assert invocations.finished(answer, (claim,)).settled == (True,)
    assert await bench.counts(revision) == model.Counts(accepted=1, retrying=1)
    stale = await retrying.send(bench.queue, claim, record_of(claim), again, 60_000)
    assert invocations.finished(stale, (claim,)).settled == (False,)
    moved, next_ms = await retrying.move_due(bench.queue)
    assert moved == 0 and next_ms is not None and 50_000 < next_ms <= 60_000
    assert await bench.counts(revision) == model.Counts(accepted=1, retrying=1)


def record_of(claim: invocations.Claim) -> model.Record:
    return msgspec.structs.replace(samples.record(claim.invocation, model.Status.ERROR), final=False)


async def test_a_functions_own_module_named_faas_wins(bench: node_bench.Bench, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "faas.py").write_text('WHO = "mine"\n')
    (code / "app.py").write_text("import faas\n\n\ndef handler(event, context):\n    return faas.WHO\n")
    revision = bench.function(code, "app.handler")
    await bench.node()
    assert node_bench.result(await bench.call(revision)) == "mine"
