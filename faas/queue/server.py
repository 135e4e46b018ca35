"""A Redis server that has this room's scripts, over one link.

The scripts' headers in ``scripts/`` say what each does. Whatever holds a server goes on using it after a loss, once it
was reopened.
"""

from __future__ import annotations

import asyncio
import functools
from importlib import resources
from typing import Any

from faas.queue import keys as keyring
from faas.queue import link as links
from faas.queue import upgrade

_SCRIPTS = (
    "prepare", "enqueue", "enqueue_once", "refuse", "claim", "finish", "ship", "release", "abandon", "counts", "look",
    "settle_lost", "forget", "retry", "due", "held",
    "find", "cancel", "unsettled", "once", "answered",
    "holders", "bury",
    "outboxes", "take_out", "take_again", "keep_out", "put_away", "put_back", "pass_on",
)  # fmt: skip


class Server:
    """The link, the keys and the scripts. Everything raises `errors.Unavailable` when Redis is away."""

    def __init__(self, redis_url: str, link: links.Link, keys: keyring.Keys, digests: dict[str, str]) -> None:
        self.keys = keys
        self.link = link
        self._redis_url = redis_url
        self._digests = digests

    async def reopen(self) -> None:
        """Replace a link that was lost. Raises `errors.Unavailable` while Redis does not answer."""
        self.link, self._digests = await opened(self._redis_url, self.keys)

    def close(self) -> None:
        """Drop the link."""
        self.link.close()

    def run(self, script: str, keys: tuple[str, ...], *args: str | bytes | int) -> asyncio.Future[Any]:
        """Run one of the scripts, sent before it returns. For the modules of this room."""
        return self.link.call("EVALSHA", self._digests[script], len(keys), *keys, *args)


async def opened(redis_url: str, keys: keyring.Keys) -> tuple[links.Link, dict[str, str]]:
    """A link, and the digests of the scripts, which Redis now has. Raises `errors.Conflict` for a foreign format."""
    link = await links.Link.open(redis_url)
    try:
        return link, await _prepared(link, keys)
    except BaseException:
        link.close()
        raise


async def _prepared(link: links.Link, keys: keyring.Keys) -> dict[str, str]:
    digests = {}
    for name in _SCRIPTS:
        digests[name] = (await link.call("SCRIPT", "LOAD", source(name))).decode()
    await upgrade.bring_up(link, keys, digests)
    return digests


@functools.cache
def source(script: str) -> bytes:
    """The text of a script."""
    return resources.files("faas.queue").joinpath("scripts", f"{script}.lua").read_bytes()
