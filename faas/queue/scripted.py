"""The scripts that a redis-py client runs, for what is not on the path of an invocation."""

from __future__ import annotations

from typing import Any

import redis.asyncio
import redis.exceptions

from faas.core import errors
from faas.link import client as redis_client
from faas.queue import server as servers


async def run(client: redis.asyncio.Redis, script: str, keys: list[str], *args: str | bytes | int) -> Any:
    """Run one of the queue's scripts. Raises `errors.Unavailable`."""
    with redis_client.translated():
        return await client.register_script(servers.source(script))(keys=keys, args=args)


async def ensure_group(client: redis.asyncio.Redis, stream: str, group: str) -> None:
    """Make sure of a stream and its consumer group, at 0 so that no entry is before it. Raises `errors.Unavailable`."""
    try:
        await run(client, "group", [stream], group)
    except redis.exceptions.ResponseError as error:
        raise errors.Unavailable(f"Redis refuses the stream {stream}: {error}") from error
