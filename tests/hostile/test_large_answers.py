"""Large answers of the control API, and slow questions to it: what others notice of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from faas.api.live import hub as live
from faas.api.live import live_lines
from faas.core import clock, model
from faas.core import settings as settings_module
from faas.core.logs import filters, log_lines
from faas.queue import live_lines as queue_lines
from faas.store import database, dead_letters, ledger, logs, schema
from tests import samples
from tests.served_api import ControlApi, serving


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


async def test_slow_searches_keep_nobody_waiting_but_one_another(
    api: ControlApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def slow(*args: Any, **kwargs: Any) -> logs.FoundLines:
        begun.release()
        go_on.wait(30)
        return logs.FoundLines(lines=(), reached_id=0)

    monkeypatch.setattr(logs.Logs, "find", slow)
    searches = [asyncio.create_task(api.get("/api/v1/logs", grep="x")) for _ in range(30)]
    assert await asyncio.to_thread(begun.acquire, timeout=30)
    async with asyncio.timeout(20):
        assert (await api.get("/api/v1/functions"))["functions"] == []
        assert (await api.get("/buckets"))["buckets"] == []
    assert not any(search.done() for search in searches)
    go_on.set()
    await asyncio.gather(*searches)


async def test_a_page_of_records_ends_where_it_becomes_large_and_none_is_left_out(
    api: ControlApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_BYTES", 20_000)
    failure = model.Failure("Big", "x" * 3_000)
    made = [api.record(ended_at_ms=at, error=failure, status=model.Status.ERROR).invocation_id for at in range(1, 31)]
    seen: list[str] = []
    before: dict[str, Any] = {}
    while True:
        page = await api.get("/api/v1/invocations", limit=1_000, **before)
        assert 0 < len(page["records"]) < 10
        seen += [each["invocation_id"] for each in page["records"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == made[::-1]


async def test_a_large_chain_is_shown_as_far_as_there_is_room(api: ControlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MOST_BYTES", 20_000)
    failure, root = model.Failure("Big", "x" * 3_000), api.record().invocation_id
    for _ in range(10):
        api.record(root_id=root, parent_id=root, error=failure)
    found = await api.get(f"/api/v1/traces/{root}")
    assert found["is_cut"]
    assert 3 < found["count"] < 10


async def test_lists_of_what_failed_read_neither_events_nor_results(api: ControlApi) -> None:
    engine = database.open_database(api.settings.data)
    made = samples.ended(mode=model.Mode.ASYNC, status=model.Status.ERROR, final=True, dead=True)
    api.ledger.commit([made], letters={(made.invocation_id, 1): b"an event that nobody can read"})
    kept = samples.undelivered()
    api.undelivered.keep(kept)
    unreadable = schema.undelivered.update().values(invocation=b"nobody can read it")
    with engine.begin() as connection:
        connection.execute(unreadable)
    (letter,) = (await api.get("/api/v1/dead-letters"))["dead_letters"]
    assert letter["invocation_id"] == made.invocation_id
    (line,) = (await api.get("/api/v1/undelivered"))["undelivered"]
    assert (line["invocation_id"], line["condition"], line["function"]) == (kept.invocation.id, "Success", "hello")
    assert set(api.undelivered.of([kept.invocation.id])) == {kept.invocation.id}
    assert "invocation" not in {field.name for field in msgspec.structs.fields(dead_letters.DeadLetterLine)}
    await asyncio.to_thread(sa.Engine.dispose, engine)


async def test_figures_over_time_are_bounded_by_all_that_are_drawn(api: ControlApi) -> None:
    for revision in range(1, 5):
        api.record(revision=revision, ended_at_ms=clock.now_ms())
    asked = {"by": "revision", "since": "30d", "every": "1m", "limit": "1"}
    status, value = await api.call("GET", "/api/v1/stats", params=asked)
    assert (status, "too many" in value["error"]["message"]) == (400, True)


async def test_what_waits_for_a_slow_listener_is_bounded_in_bytes() -> None:
    hub = live.Hub({})
    async with hub.listening(live.EventWish(live.TYPES)) as slow:
        for _ in range(100):
            hub.tell(live.ServerEvent("log", b"x" * 262_144))
        got = await slow.next(1)
        assert len(got) < live.MOST_BYTES + 1_000
        assert got.endswith(b'event: missed\ndata: {"count":97}\n\n')
        # One that is larger than all that may wait comes all the same.
        hub.tell(live.ServerEvent("log", b"x" * (2 * live.MOST_BYTES)))
        assert len(await slow.next(1)) > live.MOST_BYTES


async def test_conditions_on_many_lines_that_were_just_printed_are_looked_at_in_a_thread(
    api: ControlApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, where = '{"a": 1}', set[str]()
    facts = log_lines.read(text)
    row = log_lines.LogRow(id=0, at_ms=1, function="f", revision=1, invocation_id="i", attempt=1, text=text)
    heard = [live_lines.Heard(number, "", row, facts) for number in range(live_lines.FEW + 1)]
    fitting = live_lines.fitting

    def seen(*args: Any) -> list[log_lines.LogRow]:
        where.add(threading.current_thread().name.partition("_")[0])
        return fitting(*args)

    monkeypatch.setattr(live_lines.LineHearing, "newer", lambda *args: heard)
    monkeypatch.setattr(live_lines, "fitting", seen)
    found = await api.get("/api/v1/logs", live="true", where="a=1")
    assert (len(found["lines"]), where) == (len(heard), {"slow"})


async def test_lines_that_are_kept_for_followers_are_bounded_with_their_fields(
    settings: settings_module.Settings,
) -> None:
    leaves = ", ".join(f'"{number}": 1' for number in range(99))
    deep = "".join(f'{{"{"x" * 190}{level}": ' for level in range(7)) + f"{{{leaves}}}" + "}" * 7
    hearing = live_lines.LineHearing(settings.redis)
    line = queue_lines.PrintedNow(
        function="f", revision=1, invocation_id="i", attempt=1, root_id="i", lines=(model.LogLine(1, deep),)
    )
    for _ in range(200):
        hearing._take(line)
    kept = hearing.newer(live_lines.Place(), filters.LogFilter())
    # 200 of them have 28 MB of paths.
    assert 0 < sum(each.row.characters for each in kept) <= live_lines._MOST_BYTES
    assert len(kept) < 100
