"""The revisions that have work in their queues, so that looking for work costs nothing for those that have none."""

from __future__ import annotations

from faas.queue import server as servers

_PAGE = 100
_FROM_THE_FIRST = "0"


async def waiting(server: servers.RedisServer) -> list[str]:
    """The revisions for which something waits; those that hold nothing are active no more.

    Raises `errors.Unavailable`, as all here do.
    """
    return [ref.decode() for ref in await server.run("waiting", (server.keys.refs,), server.keys.prefix)]


async def refs(server: servers.RedisServer) -> set[str]:
    """The revisions whose queues hold something, and some that hold nothing any more."""
    return {ref.decode() for ref in await server.link.call("SMEMBERS", server.keys.active)}


async def find_missing(server: servers.RedisServer) -> list[str]:
    """Look at all revisions once, some at a time; those that had work and were not active. Now they are."""
    look = Round(server)
    found = await look.go_on()
    while not look.is_over:
        found += await look.go_on()
    return found


class Round:
    """Looking at all revisions, about a hundred at each step, again and again."""

    def __init__(self, server: servers.RedisServer) -> None:
        self._server = server
        self._cursor = _FROM_THE_FIRST

    @property
    def is_over(self) -> bool:
        """Whether all were looked at, so that the next step is the first of another round."""
        return self._cursor == _FROM_THE_FIRST

    async def go_on(self) -> list[str]:
        """Look at some more; those that had work and were not active."""
        keys = self._server.keys
        cursor, missing = await self._server.run("missing", (keys.refs,), keys.prefix, self._cursor, _PAGE)
        self._cursor = cursor.decode()
        return [ref.decode() for ref in missing]
