"""Whether nodes run, and whether one has the memory that each function asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from faas.cluster import catalog
from faas.core import errors, groups
from faas.health import asking, facts, ledger

_ANSWERS_WITHIN_S = 5.0


def gather(redis: groups.Redis, data: groups.Data) -> Iterator[facts.Fact]:
    """The facts ``nodes`` and, where there are some, ``memory``."""
    asking.require_redis(redis)
    found = asyncio.run(_nodes(redis))
    state = facts.Severity.OK if found else facts.Severity.FAILED
    yield facts.Fact("nodes", state, f"{len(found)} with a valid lease", "" if found else "start one with `faas up`")
    if found:
        yield memory(ledger.memory_asked_mb(data), (node.memory_mb for node in found.values()))


def memory(asked_mb: Mapping[str, int], nodes_mb: Iterable[int]) -> facts.Fact:
    """The fact ``memory``, from what functions ask for and what nodes have."""
    most_mb = max(nodes_mb)
    too_big = [f"{name} ({wanted_mb} MB)" for name, wanted_mb in asked_mb.items() if wanted_mb > most_mb]
    if not too_big:
        return facts.Fact("memory", facts.Severity.OK, f"a node has {most_mb} MB, enough for each function")
    text = f"no node has more than {most_mb} MB, so what is sent to these waits: {', '.join(too_big)}"
    hint = "raise the setting `memory_mb`, or deploy them with less `memory`"
    return facts.Fact("memory", facts.Severity.FAILED, text, hint)


async def _nodes(redis: groups.Redis) -> dict[str, catalog.NodeState]:
    versions = await catalog.Catalog.open(redis.redis_url, redis.redis_prefix)
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            return await versions.nodes()
    except TimeoutError as error:
        raise errors.Unavailable(f"Redis has not answered within {_ANSWERS_WITHIN_S:g} s") from error
    finally:
        await versions.close()
