"""The link under the event loop that the platform's processes run on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from faas.core import errors
from faas.queue import embedded, invocations, link


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


async def test_what_redis_refuses_is_an_error_of_the_tree_and_the_link_goes_on(redis_url: str, prefix: str) -> None:
    opened = await link.Link.open(redis_url)
    await opened.call("SET", f"{prefix}:k", "v")
    with pytest.raises(errors.Unavailable, match="Redis refuses: ERR value is not an integer"):
        await opened.call("INCR", f"{prefix}:k")
    assert await opened.call("GET", f"{prefix}:k") == b"v"
    opened.close()


async def test_a_password_that_is_not_taken_leaves_no_link_open(redis_url: str) -> None:
    with pytest.raises(errors.Unavailable, match=r"Redis refuses: (WRONGPASS|ERR AUTH)"):
        await link.Link.open(redis_url.replace("unix://", "unix://:wrong@"))


async def test_a_server_that_has_lost_the_scripts_is_connected_to_anew(tmp_path: Path) -> None:
    server = embedded.EmbeddedServer(tmp_path)
    queue = await invocations.Queue.connect(await server.start(), "t")
    await queue.link.call("SCRIPT", "FLUSH")
    with pytest.raises(errors.Unavailable, match="NOSCRIPT"):
        await queue.prepare("echo@1")
    await queue.link.lost
    await queue.reopen()
    await queue.prepare("echo@1")
    queue.close()
    await server.stop()
