"""What nodes say of themselves, and the version of the catalog of functions: deploys announce it, nodes load it."""

from __future__ import annotations

import asyncio

import msgspec
import redis.asyncio

from faas.cluster import streams
from faas.core import errors
from faas.core.processes import living
from faas.core.values import unreadable
from faas.link import client as redis_client
from faas.queue import keys as keyring
from faas.queue import scripted

_POLL_S = 0.02


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself at each renewal of its lease."""

    catalog: int
    host: str
    pid: int
    memory_mb: int
    engine: str = ""
    """What contains the functions that run there."""
    can_start: bool = True
    """Whether it could start a sandbox, as far as it knows."""
    memory_used_mb: int = 0
    sandboxes: dict[str, int] = {}
    handed_off: dict[str, int] = {}
    """How many calls each revision runs there that Redis hears of only when they have ended."""
    journal_bytes: int = 0
    """What its journal holds that Redis has not got yet."""
    beat: int = 0
    """How often it has renewed: no two renewals of a node say the same."""
    memory_peak_mb: int = 0
    """The memory that the last attempts in its sandboxes had at most, together."""
    process: living.ProcessIdentity | None = None
    """By which others on its machine see at once that it has ended."""


class Catalog:
    """Announces versions and waits until the living nodes have loaded them."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys) -> None:
        self._client = client
        self._keys = keys

    @classmethod
    async def open(cls, redis_url: str, prefix: str) -> Catalog:
        """A catalog over its own connection, made at the first command."""
        return cls(redis_client.connect(redis_url), keyring.Keys(prefix))

    async def announce(self, version: int) -> None:
        """Tell every process that follows the catalog. Raises `errors.Unavailable`."""
        with redis_client.translated():
            await self._client.publish(self._keys.catalog, version)

    async def wait_until_seen(self, version: int, timeout_ms: int) -> bool:
        """Whether every living node has loaded the version before ``timeout_ms`` passed; True when there is none."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                # What is awaited lives in other processes, so there is no event to wait for.
                while any(state.catalog < version for state in (await self.nodes()).values()):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True

    async def nodes(self) -> dict[str, NodeState]:
        """The nodes whose lease holds, and what they say of themselves. Raises `errors.Unavailable`."""
        with redis_client.translated():
            members = await self._client.smembers(self._keys.nodes)
            names = sorted(streams.text(member) for member in members)
            # One question for all leases: `None` for a node whose lease has lapsed and that nobody has buried yet.
            held = await self._client.mget([self._keys.node(name) for name in names]) if names else []
        said = {name: _state(state) for name, state in zip(names, held, strict=True) if state is not None}
        return {name: state for name, state in said.items() if state is not None}

    async def renew(self, node: str, state: NodeState, lease_ms: int) -> None:
        """Renew a node's lease and say how it is. Raises `errors.Unavailable`."""
        names = [self._keys.nodes, self._keys.node(node), self._keys.slots(node)]
        await scripted.run(self._client, "renew", names, node, msgspec.json.encode(state), lease_ms)

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.aclose()


def _state(lease: bytes | str) -> NodeState | None:
    """What a node says of itself; None for what no node of this version says."""
    try:
        return msgspec.json.decode(lease, type=NodeState)
    except unreadable.ERRORS:
        return None


class Announcements:
    """The other end of `Catalog.announce`. What Redis was away for is not said again: look at the catalog, too."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys) -> None:
        self._client = client
        self._channel = keys.catalog
        self._heard = client.pubsub(ignore_subscribe_messages=True)

    @classmethod
    async def open(cls, redis_url: str, prefix: str) -> Announcements:
        """Subscribe with the first wait."""
        return cls(redis_client.connect(redis_url), keyring.Keys(prefix))

    async def wait(self, seconds: float) -> None:
        """Until a change is announced, so long at most. While Redis is away it is the full time."""
        try:
            async with asyncio.timeout(seconds):
                await self._next()
        except TimeoutError:
            return

    async def _next(self) -> None:
        try:
            with redis_client.translated():
                if not self._heard.subscribed:
                    await self._heard.subscribe(self._channel)
                while await self._heard.get_message(timeout=None) is None:
                    pass
        except errors.Unavailable:
            # Nothing will be heard in the time that is left.
            await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Drop the connection."""
        await self._heard.aclose()  # type: ignore[no-untyped-call]
        await self._client.aclose()
