"""Bringing up what an older platform left in Redis, when the first newer one opens it.

Each step may be done twice, by two that open it at once or again after one was killed: the format, which is set last,
says that all are done.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from faas.core import clock, errors, model
from faas.core.calls import unrun
from faas.link import connection
from faas.queue import keys as keyring

_ACCEPTED_AT_THEIR_END = 3
"""From this format on hand-offs were counted as accepted when they were settled, before when they began."""

_LAST_WITH_HAND_OFFS = 4


async def bring_up(fresh: connection.Connection, keys: keyring.Keys, digest: Callable[[str], str]) -> None:
    """Bring what Redis holds to our format. Raises `errors.Conflict` when it is a later one.

    ``digest`` is that of a script by its name.
    """
    found = await fresh.call("GET", keys.format)
    if found is not None and found.isdigit() and int(found) <= _LAST_WITH_HAND_OFFS:
        await _settle_hand_offs(fresh, keys, digest("settle_lost"), int(found) >= _ACCEPTED_AT_THEIR_END)
    names = (keys.refs, keys.held, keys.records, keys.format)
    # Counting and setting the format are one step, so that of two that open it at once only one counts.
    now = (await fresh.call("EVALSHA", digest("held"), len(names), *names, keys.prefix, keyring.FORMAT)).decode()
    if now != keyring.FORMAT:
        raise errors.Conflict(
            f"Redis holds format {now}, this platform knows {keyring.FORMAT}", hint="use the newer faas"
        )


async def _settle_hand_offs(
    fresh: connection.Connection, keys: keyring.Keys, digest: str, counted_at_their_end: bool
) -> None:
    """Nobody ends any more what was handed off to an older platform's nodes: their attempts are lost."""
    for node in await fresh.call("SMEMBERS", keys.nodes):
        running, settled = keys.handed_off(node.decode())
        flat = await fresh.call("HGETALL", running)
        for field, packed in zip(flat[::2], flat[1::2], strict=True):
            invocation = msgspec.msgpack.decode(packed, type=model.Invocation)
            lost = unrun.lost(invocation, node.decode(), clock.now_ms(), final=True)
            names = (running, keys.counts(invocation.ref), keys.records, keys.held)
            record, accepted = msgspec.msgpack.encode(lost), int(counted_at_their_end)
            await fresh.call("EVALSHA", digest, len(names), *names, field, record, invocation.function, accepted)
        await fresh.call("DEL", settled)
