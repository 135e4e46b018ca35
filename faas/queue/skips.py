"""Due times of timers that were skipped because the last run had not ended: how many, by function."""

from __future__ import annotations

from faas.queue import server as servers


async def count(server: servers.RedisServer, function: str, timer: str, due_ms: int) -> None:
    """Count one, once however many schedulers skip it. Raises `errors.Unavailable`, as all here do.

    ``timer`` is its field in the guard's hash, which begins with the function's name and a slash.
    """
    await server.run("skip", (server.keys.skipped,), function, timer, due_ms)


async def counts(server: servers.RedisServer) -> dict[str, int]:
    """How many there were since the platform began, by function; those that skipped none are missing."""
    flat = [item.decode() for item in await server.link.call("HGETALL", server.keys.skipped)]
    # The others are the last due times of timers, which have a slash in their names.
    return {name: int(held) for name, held in zip(flat[::2], flat[1::2], strict=True) if "/" not in name}


async def forget(server: servers.RedisServer, timer: str) -> None:
    """Drop what was kept of a timer that is gone; the count of its function stays."""
    await server.link.call("HDEL", server.keys.skipped, timer)
