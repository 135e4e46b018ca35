"""How much Redis keeps of results and of the answers of idempotency keys."""

from __future__ import annotations

import asyncio

import msgspec

from faas.queue import server as servers


class KeptResults(msgspec.Struct, frozen=True):
    """Results of async invocations, and answers of idempotency keys: how many, and their bytes."""

    results: int
    results_bytes: int
    answers: int
    answers_bytes: int


async def kept_results(server: servers.RedisServer) -> KeptResults:
    """What is kept now; four small questions. Raises `errors.Unavailable`."""
    call, keys = server.link.call, server.keys
    found = await asyncio.gather(
        call("LLEN", keys.kept),
        call("GET", f"{keys.kept}:bytes"),
        call("LLEN", keys.answers),
        call("GET", f"{keys.answers}:bytes"),
    )
    return KeptResults(*(int(each or 0) for each in found))
