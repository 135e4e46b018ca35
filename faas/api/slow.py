"""Questions that may take long have a few threads of their own: they wait for one another, and nobody waits for them.

Answers that may be large are made and encoded there as well, so that the event loop only sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent import futures
from typing import Any, ParamSpec, TypeVar

from aiohttp import web

from faas.api import answers

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2
"""Threads: what they do is SQLite's or Python's work, which has a processor each at most."""

_THREADS = web.AppKey("slow_threads", futures.ThreadPoolExecutor)


async def threads(app: web.Application) -> AsyncIterator[None]:
    """Have the threads for as long as the application lasts."""
    app[_THREADS] = futures.ThreadPoolExecutor(AT_ONCE, thread_name_prefix="slow")
    yield
    app[_THREADS].shutdown(wait=False, cancel_futures=True)


async def asked(app: web.Application, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of work, when its turn has come. What nobody waits for any more is not begun."""
    return await asyncio.get_running_loop().run_in_executor(app[_THREADS], lambda: work(*args, **kwargs))


async def json(app: web.Application, make: Callable[[], Any]) -> web.Response:
    """The answer of what ``make`` gives, which is made and encoded there."""
    return await asked(app, lambda: answers.json(make()))
