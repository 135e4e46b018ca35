"""Requests for sandboxes: because work waits, a deploy wants its code loaded once, or a timer is due soon."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import redis.asyncio

from faas.cluster import streams
from faas.core import errors, ids, model
from faas.core.values import unreadable
from faas.link import client as redis_client
from faas.queue import keys as keyring
from faas.queue import scripted

_GROUP = "nodes"
_ANSWER_KEPT_S = 60
_log = logging.getLogger(__name__)


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of having loaded a revision in a sandbox: ``error`` holds the user's own trouble."""

    ok: bool
    init_us: int
    status: model.Status = model.Status.OK
    error: model.Failure | None = None
    logs: tuple[model.LogLine, ...] = ()


class DemandEntry(msgspec.Struct, frozen=True):
    """One entry of the demand stream. ``reply`` is the list that awaits a `LoadReport`, empty when nobody does."""

    entry: str
    ref: str
    why: str
    reply: str


class Demand:
    """The demand stream, from both ends: those who ask, and the nodes that read it as one group."""

    def __init__(self, client: redis.asyncio.Redis, keys: keyring.Keys) -> None:
        self._client = client
        self._keys = keys

    @classmethod
    async def open(cls, redis_url: str, prefix: str) -> Demand:
        """Connect and make sure of the group. Raises `errors.Unavailable`."""
        demand = cls(redis_client.connect(redis_url), keyring.Keys(prefix))
        await scripted.ensure_group(demand._client, demand._keys.demand, _GROUP)
        return demand

    async def ask_load(self, ref: str, timeout_ms: int) -> LoadReport:
        """Have any node load a revision in a sandbox, and wait. Raises `errors.Unavailable` when none answers."""
        reply = self._keys.load_reply(ids.new_id())
        with redis_client.translated():
            await self._client.xadd(self._keys.demand, {"ref": ref, "why": "load", "reply": reply})
            got: Any = await self._client.blpop([reply], timeout=timeout_ms / 1000)
        if got is None:
            raise errors.Unavailable(
                f"no node loaded {ref} within {timeout_ms} ms", hint="is a node running? see `faas status`"
            )
        return msgspec.msgpack.decode(got[1], type=LoadReport)

    async def warm(self, ref: str) -> None:
        """Have a sandbox ready for work that is about to come. Raises `errors.Unavailable`."""
        with redis_client.translated():
            await self._client.xadd(self._keys.demand, {"ref": ref, "why": "warm"})

    async def read(self, node: str, count: int, block_ms: int) -> list[DemandEntry]:
        """Requests that no other node has read; empty after ``block_ms``. Raises `errors.Unavailable`."""
        with redis_client.translated():
            got = await self._client.xreadgroup(_GROUP, node, {self._keys.demand: ">"}, count=count, block=block_ms)
        found = [(entry, _request(entry, fields)) for entry, fields in streams.entries(got)]
        for entry, request in found:
            if request is None:
                _log.error("unreadable_demand", extra={"entry": entry.decode()})
                await self._forget(entry.decode())
        return [request for _, request in found if request is not None]

    async def _forget(self, entry: str) -> None:
        with redis_client.translated():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.xack(self._keys.demand, _GROUP, entry)
                pipeline.xdel(self._keys.demand, entry)
                await pipeline.execute()

    async def done(self, request: DemandEntry, *, more: bool) -> None:
        """The request was looked at; ``more`` says that a further signal for the revision is of use at once.

        Raises `errors.Unavailable`.
        """
        with redis_client.translated():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.xack(self._keys.demand, _GROUP, request.entry)
                pipeline.xdel(self._keys.demand, request.entry)
                if more:
                    pipeline.delete(self._keys.demanded(request.ref))
                await pipeline.execute()

    async def answer(self, request: DemandEntry, report: LoadReport) -> None:
        """Tell whoever asked for a `load` how it went. Raises `errors.Unavailable`."""
        with redis_client.translated():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.rpush(request.reply, msgspec.msgpack.encode(report))
                pipeline.expire(request.reply, _ANSWER_KEPT_S)
                await pipeline.execute()

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.aclose()


def _request(entry: bytes, fields: dict[bytes, bytes]) -> DemandEntry | None:
    """What an entry asks for; None for one that asks for nothing that is known."""
    try:
        texts = {key.decode(): value.decode() for key, value in fields.items()}
        return DemandEntry(entry.decode(), texts["ref"], texts["why"], texts.get("reply", ""))
    except (*unreadable.ERRORS, LookupError):
        return None
