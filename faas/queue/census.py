"""Where all invocations are, and what the queues hold, at one instant."""

from __future__ import annotations

import msgspec

from faas.core import model
from faas.queue import server as servers


class Held(msgspec.Struct, frozen=True):
    """What all queues hold, counted entry by entry, and what the counter of the bounds says of it."""

    entries: int
    bytes: int
    counted_entries: int
    counted_bytes: int

    @property
    def is_right(self) -> bool:
        """Whether the counter says the truth."""
        return (self.entries, self.bytes) == (self.counted_entries, self.counted_bytes)


class Places(msgspec.Struct, frozen=True):
    """Where the invocations of one revision are, and for how long the oldest that waits has been waiting."""

    counts: model.Counts
    oldest_waiting_ms: int


async def places(server: servers.Server) -> dict[str, Places]:
    """The places of every revision's invocations. Raises `errors.Unavailable`."""
    flat = await server.run("counts", (server.keys.refs, server.keys.nodes), server.keys.prefix)
    rows = [flat[start : start + 8] for start in range(0, len(flat), 8)]
    return {
        ref.decode(): Places(
            model.Counts(accepted=accepted, waiting=waiting, running=running, retrying=retrying, done=done, dead=dead),
            oldest_ms,
        )
        for ref, accepted, waiting, running, retrying, done, dead, oldest_ms in rows
    }


async def held(server: servers.Server) -> Held:
    """What all queues hold. It looks at every entry: seconds, when a million wait. Raises `errors.Unavailable`."""
    return Held(*await server.run("held", (server.keys.refs, server.keys.held), server.keys.prefix, 0))
