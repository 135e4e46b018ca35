"""Asking the queue one question, from a thread that may wait for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from faas.core import errors
from faas.core import settings as settings_module
from faas.queue import invocations

T = TypeVar("T")

_START = "set FAAS_REDIS_URL, or start the platform with `faas up`"


def asked(
    settings: settings_module.Settings, ask: Callable[[invocations.Queue], Awaitable[T]], within_s: float = 5.0
) -> T:
    """The answer to a question, over a link of its own. Blocks, so long at most. Raises `errors.Unavailable`."""
    require_redis(settings)
    try:
        return asyncio.run(_asked(settings, ask, within_s))
    except TimeoutError as error:
        raise errors.Unavailable(f"Redis has not answered within {within_s:g} s") from error


def require_redis(settings: settings_module.Settings) -> None:
    """Raise `errors.Unavailable` when no Redis is known."""
    if not settings.redis_url:
        raise errors.Unavailable("there is no Redis to ask", hint=_START)


async def _asked(
    settings: settings_module.Settings, ask: Callable[[invocations.Queue], Awaitable[T]], within_s: float
) -> T:
    async with asyncio.timeout(within_s):
        queue = await invocations.Queue.of(settings)
        try:
            return await ask(queue)
        finally:
            queue.close()
