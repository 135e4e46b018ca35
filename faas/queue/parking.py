"""Reads that wait for a revision's next invocations, each on a connection of its own while it waits."""

from __future__ import annotations

from faas.core import model
from faas.link import connection
from faas.queue import invocations
from faas.queue import keys as keyring

_BLOCK_MS = 5_000


class ParkedRead:
    """One connection that claims what comes for a revision the moment it comes."""

    def __init__(self, opened: connection.Connection) -> None:
        self._connection = opened

    @classmethod
    async def open(cls, redis_url: str) -> ParkedRead:
        """Connect. Raises `errors.Unavailable`."""
        return cls(await connection.Connection.open(redis_url))

    async def claim(self, queue: invocations.Queue, node: str, ref: str, count: int) -> list[invocations.Claim]:
        """Up to ``count`` invocations of each mode, or none after a while or when `wake` ended the read.

        Raises `errors.Unavailable`.
        """
        streams = [queue.keys.queue(ref, mode) for mode in model.Mode]
        got = await self._connection.call(
            "XREADGROUP",
            "GROUP",
            keyring.GROUP,
            node,
            "COUNT",
            count,
            "BLOCK",
            _BLOCK_MS,
            "STREAMS",
            *streams,
            ">",
            ">",
        )
        # Nothing came, or it was woken: then there is no list at all.
        return invocations.claims([entry for _, found in got or () for entry in found])

    def wake(self, queue: invocations.Queue) -> None:
        """End the read that is parked now. Sent in the same write as whatever made it pointless."""
        queue.link.tell("CLIENT", "UNBLOCK", self._connection.client_id)

    @property
    def is_open(self) -> bool:
        """Whether it can be used again."""
        return self._connection.is_open

    def close(self) -> None:
        """Drop the connection; a read that is parked raises `errors.Unavailable`."""
        self._connection.close()


class Parking:
    """The connections of one node's parked reads, used in turn, so that a slot that is idle now and then makes none."""

    def __init__(self, redis_url: str, most_idle: int = 16) -> None:
        self._redis_url = redis_url
        self._most_idle = most_idle
        self._idle: list[ParkedRead] = []

    async def take(self) -> ParkedRead:
        """A connection for one parked read. Raises `errors.Unavailable`."""
        while self._idle:
            read = self._idle.pop()
            if read.is_open:
                return read
        return await ParkedRead.open(self._redis_url)

    def give_back(self, read: ParkedRead) -> None:
        """The read is over."""
        if read.is_open and len(self._idle) < self._most_idle:
            self._idle.append(read)
        else:
            read.close()

    def close(self) -> None:
        """Drop the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()
