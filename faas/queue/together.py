"""Invocations accepted in one turn of the event loop leave for Redis together, those of a revision in one step."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from faas.core import errors, model
from faas.queue import bounds as limits
from faas.queue import server as servers

_encode = msgspec.msgpack.Encoder().encode

_MOST = 500
_MOST_BYTES = 2 * 1024 * 1024


class _Batch:
    """Invocations of one revision and mode that wait for the end of the turn, and who awaits their entries."""

    def __init__(self, first: model.Invocation) -> None:
        self.ref = first.ref
        self.function = first.function
        self.mode = first.mode
        self.ids: list[str] = []
        self.packed: list[bytes | str] = []
        """Each with its caller behind it."""
        self.entries: list[asyncio.Future[str]] = []
        self.bytes = 0

    def has_room(self, packed: bytes) -> bool:
        return len(self.ids) < _MOST and self.bytes + len(packed) <= _MOST_BYTES

    def add(self, invocation: model.Invocation, packed: bytes, entry: asyncio.Future[str]) -> None:
        self.ids.append(invocation.id)
        self.packed += (packed, invocation.caller or "")
        self.entries.append(entry)
        self.bytes += len(packed)


class Together:
    """What a queue accepts in a turn. `enqueue` gives the future of its entry."""

    def __init__(self, server: servers.RedisServer, bounds: limits.Bounds) -> None:
        self._server = server
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        self._batches: dict[tuple[str, int, model.Mode], _Batch] = {}

    def enqueue(self, invocation: model.Invocation) -> asyncio.Future[str]:
        """Accept it at the end of this turn. The future raises `errors.Throttled` or `errors.Unavailable`."""
        packed = _encode(invocation)
        entry: asyncio.Future[str] = self._loop.create_future()
        if not self._batches:
            self._loop.call_soon(self._send_all)
        # Not by its ref, which would be one more string for each call.
        key = (invocation.function, invocation.revision, invocation.mode)
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = _Batch(invocation)
        elif not batch.has_room(packed):
            self._send(batch)
            batch = self._batches[key] = _Batch(invocation)
        batch.add(invocation, packed, entry)
        return entry

    def _send_all(self) -> None:
        batches, self._batches = self._batches, {}
        for batch in batches.values():
            self._send(batch)
        self._server.link.flush()

    def _send(self, batch: _Batch) -> None:
        keys, ref, mode, bounds = self._server.keys, batch.ref, batch.mode, self._bounds
        is_async = mode is model.Mode.ASYNC
        answer = self._server.run(
            "enqueue",
            (
                *(keys.queues(ref)[::-1] if is_async else keys.queues(ref)),
                *(keys.refs, keys.counts(ref), keys.demand, keys.demanded(ref), keys.held),
                *(map(keys.call, batch.ids) if is_async else ()),
            ),
            *(ref, bounds.waiting(mode), bounds.total, bounds.total_bytes, bounds.unrecorded_bytes),
            batch.function,
            *batch.packed,
        )
        answer.add_done_callback(lambda told: self._told(batch, told))

    def _told(self, batch: _Batch, told: asyncio.Future[Any]) -> None:
        error = told.exception()
        if isinstance(error, errors.Unavailable):
            # One for each: an exception that is raised in several places gathers all their stacks.
            answers: list[Any] = [errors.Unavailable(error.message, hint=error.hint) for _ in batch.entries]
        elif error is not None:
            answers = [error] * len(batch.entries)
        else:
            answers = [self._read(batch, each) for each in told.result()]
        for entry, answer in zip(batch.entries, answers, strict=True):
            if entry.done():
                continue
            if isinstance(answer, str):
                entry.set_result(answer)
            else:
                entry.set_exception(answer)
                entry.exception()  # who asked may have gone, and then nothing is to be said of it

    def _read(self, batch: _Batch, answer: Any) -> str | errors.FaasError | None:
        """The entry of one, or why it was refused."""
        if isinstance(answer, bytes):
            return answer.decode()
        return limits.refusal(answer, self._bounds, batch.ref, batch.mode)
