"""The control API's way into the queue: it sends invocations and awaits their outcomes, over links that it renews."""

from __future__ import annotations

import asyncio

import msgspec

from faas.core import model
from faas.core import settings as settings_module
from faas.queue import calls as queue_calls
from faas.queue import invocations, replies


class Calls:
    """The queue and the reply stream of this process, opened at the first use and again after Redis was away."""

    def __init__(self, settings: settings_module.Settings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._queue: invocations.Queue | None = None
        self._replies: replies.Replies | None = None

    async def queue(self) -> invocations.Queue:
        """The queue over an open link. Raises `errors.Unavailable`."""
        async with self._opening:
            if self._queue is None or not self._queue.link.is_open:
                self._queue = await invocations.Queue.connect(
                    self._settings.redis_url,
                    self._settings.redis_prefix,
                    max_waiting=self._settings.max_waiting,
                    max_waiting_async=self._settings.max_waiting_async,
                )
            return self._queue

    async def send(self, invocation: model.Invocation) -> None:
        """Accept an async invocation. Raises `errors.Throttled` or `errors.Unavailable`."""
        await (await self.queue()).enqueue(invocation)

    async def outcome(self, invocation: model.Invocation, config: model.FunctionConfig) -> model.Outcome:
        """Accept a sync invocation and await its outcome; when its caller goes, what still waits is settled.

        Raises `errors.TimedOut` when nothing ran it in time, `errors.Throttled` or `errors.Unavailable`.
        """
        queue = await self.queue()
        answers = await self._answers()
        invocation = msgspec.structs.replace(invocation, reply_to=answers.address)
        return await queue_calls.outcome(
            queue,
            answers,
            invocation,
            memory_limit_mb=config.memory_mb,
            within_ms=self._settings.max_queue_wait_ms + config.timeout_ms,
        )

    async def _answers(self) -> replies.Replies:
        async with self._opening:
            if self._replies is not None and not self._replies.is_open:
                await self._replies.close()
                self._replies = None
            if self._replies is None:
                self._replies = await replies.Replies.open(self._settings.redis_url, self._settings.redis_prefix)
            return self._replies

    async def close(self) -> None:
        """Drop both links; whoever still waits gets `errors.Unavailable`."""
        if self._replies is not None:
            await self._replies.close()
        if self._queue is not None:
            self._queue.close()
