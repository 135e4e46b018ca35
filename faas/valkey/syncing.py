"""Sync the embedded server's append-only file to the disk once a second.

The server could do that itself (`appendfsync everysec`). But as long as a sync goes on, for up to two seconds, it then
puts off its writes and answers its callers all the same: a server that is killed in that time has lost what it
acknowledged. A server that does not sync at all always writes before it answers, and what is written outlives it; so
this process syncs for it.
See `flushAppendOnlyFile` in https://github.com/valkey-io/valkey/blob/unstable/src/aof.c.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from faas.valkey import append_only

_EVERY_S = 1.0

_log = logging.getLogger(__name__)


async def keep_synced(folder: Path, sync: Callable[[Path], None] = append_only.sync) -> None:
    """Sync what lies in ``folder`` every second, until cancelled. A series of failures is logged once.

    ``sync`` blocks, and may raise `OSError`: it is for the files of a server unless another is given.
    """
    failed = False
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            await asyncio.to_thread(sync, folder)
        except OSError as error:
            if not failed:
                _log.error("not_synced", extra={"folder": str(folder), "reason": str(error)})
            failed = True
        else:
            failed = False
