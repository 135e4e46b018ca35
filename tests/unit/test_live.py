"""The hub of live events: who hears what, what a slow listener misses, and what is at work for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from faas.api.live import hub as live
from faas.core import errors
from tests.eventually import eventually


def event(type: str = "record", function: str | None = "f", invocation_id: str | None = "i") -> live.ServerEvent:
    return live.ServerEvent(type, b"{}", function, invocation_id)


class Source:
    """A source that tells what the test says, and knows whether it is at work."""

    def __init__(self) -> None:
        self.working = 0
        self.begun = 0
        self.failure: Exception | None = None
        self.tell: Callable[[live.ServerEvent], None] = lambda event: None

    async def __call__(self, tell: live.Tell) -> None:
        self.working += 1
        self.begun += 1
        self.tell = tell
        try:
            if self.failure is not None:
                raise self.failure
            await asyncio.get_running_loop().create_future()
        finally:
            self.working -= 1


async def heard(listener: live.EventClient) -> list[bytes]:
    """The types of what has come."""
    frames = (await listener.next(1)).split(b"\n\n")
    return [frame.split(b"\n")[0].removeprefix(b"event: ") for frame in frames if frame]


WISH = live.EventWish(frozenset({"record"}))


@pytest.mark.parametrize(
    ("wish", "fits"),
    [
        (live.EventWish(frozenset({"record"})), {"a"}),
        (live.EventWish(frozenset({"record", "status"})), {"a", "status"}),
        (live.EventWish(live.TYPES, function="g"), {"b", "status"}),
        (live.EventWish(live.TYPES, invocation_id="2"), {"b", "status"}),
        (live.EventWish(live.TYPES, function="f", invocation_id="2"), {"status"}),
    ],
)
def test_a_listener_hears_what_it_wishes(wish: live.EventWish, fits: set[str]) -> None:
    told = {
        "a": event("record", "f", "1"),
        "b": event("log", "g", "2"),
        "status": event("status", None, None),
    }
    assert {name for name, each in told.items() if each.fits(wish)} == fits


def test_what_was_missed_is_for_everybody() -> None:
    assert live.missed(3).fits(WISH)
    assert live.missed(3).frame() == b'event: missed\ndata: {"count":3}\n\n'


async def test_sources_work_only_while_somebody_listens_for_them() -> None:
    records, lines = Source(), Source()
    hub = live.Hub({"record": records, "log": lines})
    async with hub.listening(WISH):
        await eventually(lambda: records.working == 1)
        async with hub.listening(WISH):
            await asyncio.sleep(0)
            assert (records.begun, lines.begun) == (1, 0)
    await eventually(lambda: records.working == 0)
    async with hub.listening(WISH):
        await eventually(lambda: records.begun == 2)
    await hub.close()


async def test_events_come_in_order_and_at_once() -> None:
    source = Source()
    hub = live.Hub({"record": source})
    async with hub.listening(WISH) as one, hub.listening(WISH) as two:
        await eventually(lambda: source.working)
        for _ in range(3):
            source.tell(event())
        assert await heard(one) == await heard(two) == [b"record"] * 3
        assert await one.next(0.01) == b""
    await hub.close()


async def test_a_slow_listener_is_told_how_many_it_missed_and_nobody_else_is() -> None:
    hub = live.Hub({})
    async with hub.listening(WISH) as slow:
        for _ in range(live.MOST_WAITING + 7):
            hub.tell(event())
        got = await slow.next(1)
        assert got.count(b"event: record") == live.MOST_WAITING
        assert got.endswith(b'event: missed\ndata: {"count":7}\n\n')
        hub.tell(event())
        assert await heard(slow) == [b"record"]


async def test_a_source_that_is_away_is_told_of_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PAUSE_S", 0.01)
    source = Source()
    source.failure = errors.Unavailable("Redis does not answer")
    hub = live.Hub({"record": source})
    async with hub.listening(WISH) as listener:
        assert b'"Redis does not answer"' in await listener.next(1)
        await eventually(lambda: source.begun >= 4)
        assert await listener.next(0.01) == b""
        source.failure = None
        await eventually(lambda: source.working)
        source.tell(event())
        assert await heard(listener) == [b"record"]
    await hub.close()


async def test_a_source_with_a_fault_of_its_own_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PAUSE_S", 0.01)
    source = Source()
    source.failure = ValueError("a bug")
    hub = live.Hub({"record": source})
    async with hub.listening(WISH):
        await eventually(lambda: source.begun >= 2)
    await hub.close()


async def test_listeners_are_bounded() -> None:
    hub = live.Hub({})
    hub._listeners = {live.EventClient(WISH) for _ in range(live.MOST_LISTENERS)}
    with pytest.raises(errors.Unavailable):
        async with hub.listening(WISH):
            pass


async def test_when_all_ends_listeners_are_told_and_none_is_taken() -> None:
    source = Source()
    hub = live.Hub({"record": source})
    async with hub.listening(WISH) as listener:
        await eventually(lambda: source.working)
        await hub.close()
        assert await listener.next(5) == b""
        assert listener.is_over
    assert source.working == 0
    with pytest.raises(errors.Unavailable):
        async with hub.listening(WISH):
            pass
