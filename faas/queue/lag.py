"""How far sinks of records are behind: for how long the oldest record that each has yet to commit has waited."""

from __future__ import annotations

from typing import Any

from faas.queue import cursors
from faas.queue import server as servers


async def of_sinks(server: servers.RedisServer) -> dict[str, int]:
    """The lag of each sink in ms, by its name; 0 for one that has all. Raises `errors.Unavailable`."""
    stream, link = server.keys.records, server.link
    # There is no stream before the first record, and of none there are no groups.
    if not await link.call("EXISTS", stream):
        return {}
    groups = await link.call("XINFO", "GROUPS", stream)
    seconds, _ = await link.call("TIME")
    found: dict[str, int] = {}
    for each in map(_fields, groups):
        group = each[b"name"].decode()
        pending = await link.call("XPENDING", stream, group) if each[b"pending"] else None
        # What was read and not acknowledged is older than what was not read.
        oldest = pending[1] if pending and pending[1] else None
        if oldest is None:
            unread = await link.call("XRANGE", stream, b"(" + each[b"last-delivered-id"], "+", "COUNT", 1)
            oldest = unread[0][0] if unread else None
        waited_ms = 0 if oldest is None else max(int(seconds) * 1000 - int(oldest.partition(b"-")[0]), 0)
        found[_name(group)] = waited_ms
    return found


def _fields(flat: list[Any]) -> dict[bytes, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _name(group: str) -> str:
    return "ledger" if group == cursors.LEDGER.group else group.removeprefix("sink:")
