from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from faas.core import model
from faas.core import settings as settings_module
from faas.queue import guards, skips
from faas.queue.bounds import Bounds
from faas.queue.invocations import Queue
from faas.store import database
from faas.store.functions import Functions
from faas.valkey import embedded
from tests import samples
from tests.eventually import eventually
from triggers import catalog, timer

START = 4_102_444_800_000
"""The first moment of the year 2100: past the birth of every revision that a test deploys, whenever it runs."""


class Clock:
    """A wall clock that the test moves."""

    def __init__(self, at_ms: int = START) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms


@pytest.fixture
async def queue(settings: settings_module.Settings) -> AsyncIterator[Queue]:
    opened = await Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    yield opened
    opened.close()


@pytest.fixture
def functions(settings: settings_module.Settings) -> Functions:
    return Functions(database.open_database(settings.data))


def _every(
    period_ms: int, on_missed: model.OnMissed = model.OnMissed.SKIP, overlap: model.Overlap = model.Overlap.QUEUE
) -> model.TimerTrigger:
    """Nothing runs in most of these tests, so due times have to queue to be seen."""
    return model.TimerTrigger(every_ms=period_ms, on_missed=on_missed, overlap=overlap)


def _deploy(functions: Functions, *triggers: model.Trigger, name: str = "tick") -> model.Revision:
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=triggers)
    revision = functions.add_revision(name, "0" * 64, config)
    functions.activate([revision], [])
    return revision


@contextlib.asynccontextmanager
async def _scheduler(
    settings: settings_module.Settings, queue: Queue, functions: Functions, clock: Clock, warm: timer.Warm | None = None
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(timer.run(settings.sandboxes, queue, functions, stop, warm=warm, clock=clock))
    try:
        yield
    finally:
        stop.set()
        await task


async def _waiting(queue: Queue, ref: str = "tick@1") -> int:
    return (await queue.counts()).get(ref, model.Counts()).waiting


async def _events(queue: Queue, ref: str = "tick@1") -> list[dict[str, str]]:
    return [json.loads(claim.invocation.event) for claim in await queue.claim("n", ref, 2_000)]


def _is(expected: int, queue: Queue, ref: str = "tick@1") -> Callable[[], object]:
    async def check() -> bool:
        assert await _waiting(queue, ref) == expected
        return True

    return check


async def _seen(queue: Queue, due_ms: int) -> bool:
    """Whether a timer's guard stands at a due time."""
    return str(due_ms) in (await guards.items(queue, timer.GUARD)).values()


def _fields(functions: Functions) -> dict[str, timer.Timer]:
    latest = catalog.Snapshot(0, tuple(functions.list_current()))
    return timer.timers_of(latest, {}, {}, START, starting=True)


async def test_two_schedulers_fire_each_due_time_once(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    _deploy(functions, _every(10_000))
    clock = Clock()
    async with _scheduler(settings, queue, functions, clock), _scheduler(settings, queue, functions, clock):
        await eventually(functools.partial(guards.items, queue, timer.GUARD))
        for step in range(1, 4):
            clock.at_ms = START + step * 10_000
            due = clock.at_ms
            await eventually(functools.partial(_seen, queue, due))
    found = await _events(queue)
    assert [event["time"][-3:] for event in found] == ["00Z", "10Z", "20Z", "30Z"]
    assert len({event["id"] for event in found}) == 4


async def test_a_timer_deployed_while_the_scheduler_runs_never_fires_for_the_past(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    _deploy(functions, _every(10_000), name="first")
    clock = Clock(START + 1_000)
    async with _scheduler(settings, queue, functions, clock):
        await eventually(lambda: _seen(queue, START))
        _deploy(functions, _every(20_000, model.OnMissed.ALL))
        _deploy(functions, _every(50), name="witness")
        await eventually(lambda: _advanced(queue, clock), within=20)
        clock.at_ms = START + 20_000
        await eventually(_is(1, queue))
    assert [event["time"][-3:] for event in await _events(queue)] == ["20Z"]


async def _advanced(queue: Queue, clock: Clock) -> bool:
    """Moves the clock on, in steps so small that it stays within the same ten seconds, until the newest timer fires."""
    clock.at_ms += 1
    return await _waiting(queue, "witness@1") > 0


@pytest.mark.parametrize(
    ("on_missed", "expected"),
    [(model.OnMissed.SKIP, 1), (model.OnMissed.ONCE, 2), (model.OnMissed.ALL, 6)],
)
async def test_what_passed_while_no_scheduler_ran_fires_as_its_rule_says(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    on_missed: model.OnMissed,
    expected: int,
) -> None:
    _deploy(functions, _every(10_000, on_missed))
    # It has fired before: else `all` would first make up for a thousand due times since the revision's birth.
    await guards.put(queue, timer.GUARD, next(iter(_fields(functions))), str(START - 10_000))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock):
        await eventually(lambda: _seen(queue, START))
    assert len(await _events(queue)) == 1
    clock.at_ms = START + 60_000
    async with _scheduler(settings, queue, functions, clock):
        await eventually(lambda: _seen(queue, START + 60_000))
    assert len(await _events(queue)) == expected


async def test_a_deploy_that_leaves_a_timer_as_it_is_leaves_its_history(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    _deploy(functions, _every(60_000))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock):
        await eventually(lambda: _seen(queue, START))
        _deploy(functions, _every(60_000))
    async with _scheduler(settings, queue, functions, clock):
        clock.at_ms = START + 60_000
        await eventually(_is(1, queue, "tick@2"))
    assert await _waiting(queue, "tick@1") == 1
    assert await guards.items(queue, timer.GUARD) == {
        field: str(START + 60_000) for field in await guards.items(queue, timer.GUARD)
    }


async def test_a_clock_that_jumps_back_and_forth_fires_no_due_time_twice(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    _deploy(functions, _every(10_000))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock):
        await eventually(lambda: _seen(queue, START))
        clock.at_ms = START + 3_600_000
        await eventually(lambda: _seen(queue, START + 3_600_000))
    clock.at_ms = START
    async with _scheduler(settings, queue, functions, clock):
        clock.at_ms = START + 3_610_000
        await eventually(lambda: _seen(queue, START + 3_610_000))
    found = [event["id"] for event in await _events(queue)]
    assert len(found) == len(set(found)) == 3


async def test_a_full_queue_is_tried_again(
    settings: settings_module.Settings, prefix: str, functions: Functions
) -> None:
    narrow = await Queue.connect(settings.redis.redis_url, prefix, Bounds(asynchronous=1))
    _deploy(functions, _every(10_000, model.OnMissed.ALL))
    await guards.put(narrow, timer.GUARD, next(iter(_fields(functions))), str(START - 20_000))
    clock = Clock(START)
    async with _scheduler(settings, narrow, functions, clock):
        for step in (-10_000, 0):
            await eventually(functools.partial(_seen, narrow, START + step))
            assert await _waiting(narrow) == 1
            (claim,) = await narrow.claim("n", "tick@1", 1)
            assert claim.invocation.mode is model.Mode.ASYNC
            clock.at_ms += 2_000
    narrow.close()


async def test_a_sandbox_is_asked_for_ahead_of_a_rare_due_time(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    warmed: list[str] = []

    async def warm(ref: str) -> None:
        warmed.append(ref)

    _deploy(functions, _every(600_000))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock, warm):
        await eventually(lambda: _seen(queue, START))
        assert warmed == []
        clock.at_ms = START + 598_000
        await eventually(lambda: warmed == ["tick@1"])
        assert await _waiting(queue) == 1
        clock.at_ms = START + 600_000
        await eventually(_is(2, queue))
    assert warmed == ["tick@1"]


async def test_a_timer_that_cannot_be_read_does_not_stop_the_others(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    _deploy(functions, model.TimerTrigger(cron="nonsense"), _every(10_000))
    async with _scheduler(settings, queue, functions, Clock()):
        await eventually(_is(1, queue))


async def test_timers_with_inputs_of_their_own_on_one_schedule_all_fire(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    inputs = [model.TimerTrigger(every_ms=10_000, input={"job": job}) for job in range(3)]
    _deploy(functions, *inputs)
    async with _scheduler(settings, queue, functions, Clock()):
        await eventually(_is(3, queue))
    assert sorted(map(str, await _events(queue))) == ["{'job': 0}", "{'job': 1}", "{'job': 2}"]


async def test_an_input_of_null_is_the_event(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    _deploy(functions, model.TimerTrigger(every_ms=10_000, is_input_null=True))
    async with _scheduler(settings, queue, functions, Clock()):
        await eventually(_is(1, queue))
    assert await _events(queue) == [None]


async def _ticks(queue: Queue, clock: Clock, caplog: pytest.LogCaptureFixture, said: str) -> None:
    """Let a due time come, until the scheduler has said what became of it."""
    before = caplog.messages.count(said)
    clock.at_ms += 10_000
    await eventually(lambda: caplog.messages.count(said) > before)


@pytest.mark.parametrize("overlap", [None, model.Overlap.SKIP])
async def test_a_timer_that_is_slower_than_its_period_skips_due_times_until_it_has_ended(
    settings: settings_module.Settings,
    queue: Queue,
    functions: Functions,
    caplog: pytest.LogCaptureFixture,
    overlap: model.Overlap | None,
) -> None:
    caplog.set_level("INFO")
    _deploy(functions, model.TimerTrigger(every_ms=10_000, overlap=overlap))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock):
        await eventually(_is(1, queue))
        await _ticks(queue, clock, caplog, "timer_skipped")  # it waits
        (claim,) = await queue.claim("n", "tick@1", 10)
        await _ticks(queue, clock, caplog, "timer_skipped")  # it runs
        assert await _waiting(queue) == 0
        await queue.finish_claimed(claim, samples.record(claim.invocation), node="n")
        await _ticks(queue, clock, caplog, "timer_fired")
    assert [event["time"][-3:] for event in await _events(queue)] == ["30Z"]
    assert await skips.counts(queue) == {"tick": 2}


async def test_a_due_time_is_skipped_once_by_several_schedulers_and_what_one_has_fired_by_none(
    settings: settings_module.Settings, queue: Queue, functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _deploy(functions, _every(10_000, overlap=model.Overlap.SKIP))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock), _scheduler(settings, queue, functions, clock):
        # The other one looks at the same time and finds it fired, or starts later and has nothing to do.
        await eventually(lambda: "timer_fired" in caplog.messages)
        assert await skips.counts(queue) == {}
        clock.at_ms += 10_000
        await eventually(lambda: caplog.messages.count("timer_skipped") == 2)
    assert await skips.counts(queue) == {"tick": 1}


async def test_a_timer_that_replaces_takes_back_what_waits_and_leaves_what_runs(
    settings: settings_module.Settings, queue: Queue, functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _deploy(functions, _every(10_000, overlap=model.Overlap.REPLACE))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock):
        await eventually(_is(1, queue))
        await queue.claim("n", "tick@1", 10)
        await _ticks(queue, clock, caplog, "timer_fired")  # beside the one that runs
        assert "timer_replaced" not in caplog.messages
        for _ in range(2):
            await _ticks(queue, clock, caplog, "timer_fired")
            assert await _waiting(queue) == 1
    assert caplog.messages.count("timer_replaced") == 2
    assert [event["time"][-3:] for event in await _events(queue)] == ["30Z"]
    counts = (await queue.counts())["tick@1"]
    assert (counts.accepted, counts.done, counts.drift) == (4, 2, 0)


def test_what_is_due_every_so_often_skips_by_default_and_nothing_else_does() -> None:
    assert model.TimerTrigger(every_ms=1).on_overlap is model.Overlap.SKIP
    assert model.TimerTrigger(cron="* * * * *").on_overlap is model.Overlap.QUEUE
    assert model.TimerTrigger(every_ms=1, on_missed=model.OnMissed.ALL).on_overlap is model.Overlap.QUEUE
    assert model.TimerTrigger(cron="* * * * *", overlap=model.Overlap.SKIP).on_overlap is model.Overlap.SKIP


async def test_the_history_of_a_timer_that_is_gone_is_dropped(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    await guards.put(queue, timer.GUARD, "gone/1", str(START - 4_000_000))
    await guards.put(queue, timer.GUARD, "lately/1", str(START - 1_000))
    await skips.count(queue, "gone", "gone/1", START - 4_000_000)
    _deploy(functions, _every(3_600_000))
    async with _scheduler(settings, queue, functions, Clock(START + 1)):
        await eventually(lambda: _dropped(queue))
    assert "lately/1" in await guards.items(queue, timer.GUARD)
    await eventually(lambda: _is_all_that_is_kept_of_skips(queue, {b"gone": b"1"}))
    assert await skips.counts(queue) == {"gone": 1}


async def _is_all_that_is_kept_of_skips(queue: Queue, wanted: dict[bytes, bytes]) -> bool:
    flat = await queue.link.call("HGETALL", queue.keys.skipped)
    return dict(zip(flat[::2], flat[1::2], strict=True)) == wanted


async def _dropped(queue: Queue) -> bool:
    return "gone/1" not in await guards.items(queue, timer.GUARD)


async def test_two_thousand_timers_of_one_moment_all_fire(
    settings: settings_module.Settings, queue: Queue, functions: Functions
) -> None:
    _deploy(functions, *(_every(10_000) for _ in range(2_000)))
    async with _scheduler(settings, queue, functions, Clock()):
        await eventually(_is(2_000, queue), within=20)


async def test_timers_go_on_when_redis_comes_back(
    settings: settings_module.Settings, tmp_path: Path, functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    server = embedded.EmbeddedServer(tmp_path / "redis")
    settings = settings_module.changed(settings, redis_url=await server.start())
    queue = await Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    _deploy(functions, _every(10_000))
    clock = Clock(START)
    async with _scheduler(settings, queue, functions, clock):
        await eventually(lambda: _seen(queue, START))
        await server.stop()
        clock.at_ms = START + 10_000
        await eventually(lambda: "timer_waits" in caplog.messages)
        await server.start()
        again = await Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
        clock.at_ms += 2_000  # it tries again a second of its own clock later
        await eventually(lambda: _seen(again, START + 10_000))
        assert await _waiting(again) == 2
        again.close()
    queue.close()
    await server.stop()
