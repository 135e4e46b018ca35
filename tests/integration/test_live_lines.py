"""Lines as they are printed: within a fifth of a second, each once, whoever follows and whatever goes away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas import recorder
from faas.core import clock, model
from faas.core import settings as settings_module
from faas.core.logs import log_lines, repeats
from faas.queue import keys as keyring
from faas.queue import live_lines
from faas.store import logs
from runners import live_lines as runner_lines
from tests import node_bench, patience
from tests.eventually import eventually
from tests.served_api import ControlApi, serving

CODE = Path(__file__).parents[1] / "functions" / "prints_slowly"


@pytest.fixture
async def bench(settings: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    made = await node_bench.Bench.open(settings)
    yield made
    await made.close()


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


@contextlib.asynccontextmanager
async def recording(settings: settings_module.Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(recorder.run(settings.data, settings.redis, settings.queues, stop))
    try:
        yield
    finally:
        stop.set()
        await task


class Follower:
    """Asks as `faas logs -f` does. It knows of each line when it came."""

    def __init__(self, api: ControlApi, **query: Any) -> None:
        self.lines: list[tuple[float, log_lines.LogRow]] = []
        self._api = api
        self._query = query
        self._seen = repeats.SeenLines()
        self._task = asyncio.create_task(self._follow())

    @property
    def texts(self) -> list[str]:
        return [line.text for _, line in self.lines]

    async def _follow(self) -> None:
        after = (await self._api.get("/api/v1/logs", tail=0))["next"]
        while True:
            page = await self._api.get("/api/v1/logs", after=after, wait_ms=5_000, live="true", **self._query)
            after = page["next"]
            came = clock.now_ns() / 1e9
            fresh = self._seen.fresh(msgspec.convert(page["lines"], list[log_lines.LogRow]))
            self.lines += [(came, line) for line in fresh]

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


@pytest.fixture
async def follow(api: ControlApi) -> AsyncIterator[Callable[..., Follower]]:
    made: list[Follower] = []

    def following(**query: Any) -> Follower:
        made.append(Follower(api, **query))
        return made[-1]

    yield following
    for each in made:
        await each.close()


Follow = Callable[..., Follower]


async def wanted(node: Any, function: str = "f") -> None:
    """Wait until a node has heard that somebody follows a function."""
    await eventually(lambda: node._live_lines.is_on and node._live_lines.wants(function))


async def test_a_line_is_shown_within_a_fifth_of_a_second_while_its_attempt_runs_and_once(
    bench: node_bench.Bench, settings: settings_module.Settings, follow: Follow
) -> None:
    function = bench.function(CODE, "app.handler")
    node = await bench.node()
    async with recording(settings):
        follower = follow(function="f")
        await wanted(node)
        event = {"name": "line", "lines": 4, "pause_s": 0.4}
        running = asyncio.create_task(bench.call(function, event))
        await eventually(lambda: "line 2" in " ".join(follower.texts), within=20)
        assert not running.done()
        await running
        await eventually(lambda: follower.texts[-1] == "without end")
        begun = [(came, line.text) for came, line in follower.lines if line.text.startswith("line")]
        late = [came - float(text.split()[2]) for came, text in begun]
        assert max(late) < 0.2 * patience.FACTOR
        store = await eventually(lambda: _stored(bench, 6))
        await asyncio.sleep(1)  # whatever would come twice has come by then
        assert follower.texts == store == ["imported", *(text for _, text in begun), "without end"]


def _stored(bench: node_bench.Bench, count: int) -> list[str]:
    found = [line.text for line in logs.Logs(bench._database).lines("f")]
    return found if len(found) == count else []


async def test_what_is_printed_between_attempts_is_shown_as_it_is_printed_and_once(
    bench: node_bench.Bench, settings: settings_module.Settings, follow: Follow
) -> None:
    function = bench.function(CODE, "app.handler", background=True)
    node = await bench.node()
    async with recording(settings):
        follower = follow(function="f", grep="late")
        await wanted(node)
        outcome = await bench.call(function, {"name": "x", "lines": 1, "late": True})
        await eventually(lambda: follower.texts == ["late"], within=2)
        _, line = follower.lines[0]
        assert (line.id, line.invocation_id, line.attempt) == (0, outcome.record.invocation_id, 1)
        await eventually(lambda: "late" in _stored(bench, 4))
        await bench.call(function, {"name": "again", "lines": 1})
        await eventually(lambda: "again" in " ".join(_stored(bench, 6)))
        assert follower.texts == ["late"]


async def test_who_follows_from_the_middle_of_an_attempt_gets_it_from_its_beginning(
    bench: node_bench.Bench, settings: settings_module.Settings, follow: Follow
) -> None:
    function = bench.function(CODE, "app.handler")
    node = await bench.node()
    async with recording(settings):
        running = asyncio.create_task(bench.call(function, {"name": "n", "lines": 8, "pause_s": 0.3}))
        await eventually(lambda: node.report().get("busy") == 1, within=20)
        follower = follow(function="f", grep="n ")
        await eventually(lambda: len(follower.texts) >= 3)
        assert not running.done()
        await running
        await eventually(lambda: len(_stored(bench, 10)) == 10)
        await eventually(lambda: len(follower.texts) == 8)
        assert [text.split()[1] for text in follower.texts] == [str(number) for number in range(8)]


async def test_several_follow_and_each_gets_what_it_asked_for(
    bench: node_bench.Bench, settings: settings_module.Settings, follow: Follow
) -> None:
    one, two = bench.function(CODE, "app.handler", name="one"), bench.function(CODE, "app.handler", name="two")
    node = await bench.node()
    async with recording(settings):
        first, both = follow(function="one"), follow(where=["message~line"])
        chain = follow(root="019a3f1c-7d2e-7c40-8a5b-3f0e9d1c2b4a")
        await wanted(node, "two")
        await asyncio.gather(*(bench.call(each, {"name": "line", "lines": 2}) for each in (one, two)))
        await eventually(lambda: len(first.texts) == 4 and len(both.texts) == 4)
        assert {line.function for _, line in first.lines} == {"one"}
        assert sorted(line.function for _, line in both.lines) == ["one", "one", "two", "two"]
        assert chain.texts == []


async def test_nothing_is_published_while_nobody_follows_and_soon_after_nobody_does(
    bench: node_bench.Bench, settings: settings_module.Settings
) -> None:
    function = bench.function(CODE, "app.handler")
    node = await bench.node()
    heard = live_lines.HeardLines(settings.redis.redis_url, keyring.Keys(settings.redis.redis_prefix))
    try:
        await heard.next(0.01)
        await bench.call(function, {"name": "x", "lines": 3})
        assert await heard.next(0.3) == ()
        await heard.want(live_lines.Want("test", ("f",), 2_000))
        await wanted(node)
        await bench.call(function, {"name": "y", "lines": 1})
        found = await eventually(lambda: heard.next(0.1))
        assert found[0].lines[0].text.startswith("y 0")
        await eventually(lambda: not node._live_lines.is_on)
        await bench.call(function, {"name": "z", "lines": 1})
        assert await heard.next(0.3) == ()
    finally:
        await heard.close()


async def test_what_no_platform_says_on_the_channels_changes_nothing(
    bench: node_bench.Bench, settings: settings_module.Settings, follow: Follow
) -> None:
    function = bench.function(CODE, "app.handler")
    node = await bench.node()
    follower = follow(function="f")
    await wanted(node)
    keys = keyring.Keys(settings.redis.redis_prefix)
    for channel in (keys.wanted_lines, keys.live_lines):
        await bench.queue.link.call("PUBLISH", channel, b"\xff\x00 no message")
    await bench.call(function, {"name": "x", "lines": 1})
    await eventually(lambda: len(follower.texts) == 3 and follower.texts[0] == "imported")


async def test_more_than_a_node_sends_in_a_second_is_left_to_the_ledger(bench: node_bench.Bench) -> None:
    node = await bench.node()
    lines = node._live_lines
    one = live_lines.PrintedNow("f", 1, "i", 1, "i", (model.LogLine(1, "x" * 100_000),))
    for _ in range(100):
        lines.add(one)
    gathered = len(lines._gathered) * 100_000
    assert runner_lines.MOST_BYTES_S // 2 < gathered <= runner_lines.MOST_BYTES_S


async def test_a_follower_that_is_slow_gets_what_it_missed_from_the_ledger(
    bench: node_bench.Bench, settings: settings_module.Settings, api: ControlApi
) -> None:
    function = bench.function(CODE, "app.handler")
    await bench.node()
    seen = repeats.SeenLines()
    async with recording(settings):
        after = (await api.get("/api/v1/logs", tail=0))["next"]
        page = await api.get("/api/v1/logs", after=after, live="true")
        for number in range(3):
            await bench.call(function, {"name": f"call{number}", "lines": 1})
        await eventually(lambda: len(_stored(bench, 7)) == 7)
        texts: list[str] = []
        while len(texts) < 7:
            page = await api.get("/api/v1/logs", after=page["next"], live="true", limit=2, wait_ms=2_000)
            texts += [line.text for line in seen.fresh(msgspec.convert(page["lines"], list[log_lines.LogRow]))]
        assert texts[0] == "imported"
        assert len(texts) == len(set(texts)) + 2  # each call ends with the same line
