"""A Redis server that has the queue's scripts, over one link.

The scripts' headers in ``scripts/`` say what each does. Whatever holds a server goes on using it after a loss: its link
opens itself again, with the scripts.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from importlib import resources
from typing import Any

from faas.link import connection
from faas.link import link as links
from faas.queue import keys as keyring
from faas.queue import upgrade

_SCRIPTS = (
    "prepare", "enqueue", "enqueue_once", "refuse", "claim", "finish", "ship", "release", "abandon", "counts", "look",
    "print", "settle_lost", "forget", "retry", "due", "held",
    "waiting", "missing", "recount", "due_later",
    "find", "cancel", "unsettled", "of_chain", "once", "answered", "set_aside_entry",
    "holders", "bury",
    "outboxes", "take_out", "take_again", "keep_out", "put_away", "put_back", "pass_on", "post",
    "retire", "skip",
)  # fmt: skip
_BEGIN = {
    **dict.fromkeys(("recorded", "let_go"), ("yet_to_commit",)),
    **dict.fromkeys(("finish", "settle_lost"), ("unrecorded",)),
    **dict.fromkeys(("abandon", "cancel", "pass_on", "refuse", "release", "retry"), ("share", "unrecorded")),
    **dict.fromkeys(("put_away", "put_back"), ("share",)),
}
"""What scripts begin with that share a part."""


class RedisServer:
    """The link, the keys and the scripts. Everything raises `errors.Unavailable` when Redis is away."""

    def __init__(self, link: links.Link, keys: keyring.Keys) -> None:
        self.keys = keys
        self.link = link

    async def reopen(self) -> None:
        """Connect now, if the link was lost. Raises `errors.Unavailable` while Redis does not answer."""
        await self.link.reopen()

    def close(self) -> None:
        """Drop the link."""
        self.link.close()

    def run(self, script: str, keys: tuple[str, ...], *args: str | bytes | int) -> asyncio.Future[Any]:
        """Run one of the scripts, sent before it returns. For the modules of `faas.queue` and `faas.cluster`."""
        return self.link.call("EVALSHA", digest(script), len(keys), *keys, *args)


async def opened(redis_url: str, keys: keyring.Keys) -> links.Link:
    """A link to a Redis that has the scripts. Raises `errors.Unavailable`, `errors.Conflict` for a later format."""

    async def prepare(fresh: connection.Connection) -> None:
        # At each connection: a server that was started again has forgotten them.
        await asyncio.gather(*(fresh.call("SCRIPT", "LOAD", source(name)) for name in _SCRIPTS))
        await upgrade.bring_up(fresh, keys, digest)

    return await links.Link.open(redis_url, prepare)


@functools.cache
def source(script: str) -> bytes:
    """The text of a script, with what it shares with others before it."""
    texts = (
        resources.files("faas.queue").joinpath("scripts", f"{name}.lua") for name in (*_BEGIN.get(script, ()), script)
    )
    return b"".join(text.read_bytes() for text in texts)


@functools.cache
def digest(script: str) -> str:
    """By which Redis knows a script that was loaded."""
    return hashlib.sha1(source(script), usedforsecurity=False).hexdigest()
