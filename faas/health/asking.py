"""Asking the queue one question, from a thread that may wait for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from faas.core import errors, groups
from faas.queue import invocations

T = TypeVar("T")

_START = "set FAAS_REDIS_URL, or start the platform with `faas up`"


def asked(redis: groups.Redis, ask: Callable[[invocations.Queue], Awaitable[T]], within_s: float = 5.0) -> T:
    """The answer to a question, over a link of its own. Blocks, so long at most. Raises `errors.Unavailable`."""
    require_redis(redis)
    try:
        return asyncio.run(_asked(redis, ask, within_s))
    except TimeoutError as error:
        raise errors.Unavailable(f"Redis has not answered within {within_s:g} s") from error


def require_redis(redis: groups.Redis) -> None:
    """Raise `errors.Unavailable` when no Redis is known."""
    if not redis.redis_url:
        raise errors.Unavailable("there is no Redis to ask", hint=_START)


async def _asked(redis: groups.Redis, ask: Callable[[invocations.Queue], Awaitable[T]], within_s: float) -> T:
    async with asyncio.timeout(within_s):
        queue = await invocations.Queue.connect(redis.redis_url, redis.redis_prefix)
        try:
            return await ask(queue)
        finally:
            queue.close()
