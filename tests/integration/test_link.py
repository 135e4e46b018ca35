"""The link under the event loop that the platform's processes run on."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from faas.queue import link


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_link_speaks_on_either_event_loop(run: object, redis_url: str, prefix: str) -> None:
    async def talk() -> bytes:
        opened = await link.Link.open(redis_url)
        await opened.call("SET", f"{prefix}:k", "v")
        held: bytes = await opened.call("GET", f"{prefix}:k")
        opened.close()
        return held

    assert callable(run)
    assert run(talk()) == b"v"
