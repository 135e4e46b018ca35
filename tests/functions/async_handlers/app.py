"""Coroutines, on one loop for the life of the sandbox."""

import asyncio
import functools

loops = []
tasks = []


async def handler(event, context):
    loops.append(asyncio.get_running_loop())
    await asyncio.sleep(0)
    if event == "raise":
        raise ValueError("from a coroutine")
    if event == "background":
        tasks.append(asyncio.ensure_future(_later()))
    if event == "background result":
        return await tasks.pop()
    if event == "cancelled":
        raise asyncio.CancelledError
    return {"event": event, "loops": len(set(map(id, loops))), "calls": len(loops)}


async def _later():
    await asyncio.sleep(0.01)
    return "made by an earlier invocation"


def runs_itself(event, context):
    return asyncio.run(handler(event, context))


def with_get_event_loop(event, context):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(handler(event, context))
    finally:
        loop.close()


@functools.wraps(handler)
def wrapped(event, context):
    return handler(event, context)


class Callable:
    async def __call__(self, event, context):
        return "from an object"


instance = Callable()
