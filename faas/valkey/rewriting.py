"""Have the embedded server begin another append-only file when its present one has zeros in it.

`faas.valkey.append_only` says how zeros come in. The server holds all its data in memory, so a rewrite leaves a whole
file. The rewrite must come soon: the next short write would take back what was written, and acknowledged, before.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import redis.asyncio
import redis.exceptions

from faas.valkey import append_only

_EVERY_S = 0.5

_log = logging.getLogger(__name__)


async def keep_whole(url: str, folder: Path) -> None:
    """Look every half second, until cancelled, whatever becomes of the server."""
    async with redis.asyncio.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        while True:
            try:
                if await _has_zeros(client, folder):
                    _log.warning("append_only_file_rewritten", extra={"folder": str(folder)})
                    await client.bgrewriteaof()
            except (redis.exceptions.RedisError, OSError) as error:
                _log.debug("append_only_file_unknown", extra={"reason": str(error)})
            await asyncio.sleep(_EVERY_S)


async def _has_zeros(client: redis.asyncio.Redis, folder: Path) -> bool:
    """Whether the files hold more than the server has written: it counts what it writes, and not what it leaves out.

    They are measured first, so that what is written meanwhile makes them seem smaller. While it loads or rewrites them,
    and when a rewrite has ended meanwhile, nothing is known.
    """
    before = append_only.files(folder)
    sizes = {file: file.stat().st_size for file in before}
    told = await client.info("persistence")
    is_known = not (told["loading"] or told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])
    # The base that a server began its folder with is not counted; those that it has loaded or rewritten are.
    counted = before if told["aof_base_size"] else set(before) & set(append_only.files(folder, "i"))
    size = sum(sizes[file] for file in counted)
    return is_known and size > told["aof_current_size"] and append_only.files(folder) == before
