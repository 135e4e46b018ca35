"""Whether a Redis server is fit to hold invocations: each process checks before it starts, and `faas doctor` on demand.

A server that evicts keys would drop queued work, and one whose memory fills up would refuse the end of what runs. So
what waits may take half of its memory, records that wait for the ledger a quarter, and all that is bounded seven
eighths.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
import redis as redis_py

from faas.core import errors, groups
from faas.link import client as redis_client

_OLDEST = (6, 2)
_SHARE_THAT_WAITS = 0.5
_SHARE_UNRECORDED = 0.25
_SHARE_OF_ALL = 0.875

_log = logging.getLogger(__name__)


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be; nothing is started on what is ``unfit``."""

    text: str
    hint: str
    unfit: bool


def findings(
    server: Mapping[str, Any], redis: groups.Redis, queues: groups.Queues, results: groups.Results
) -> Iterator[Finding]:
    """What is wrong with a server, from what its INFO says, and for strict durability also its ``appendfsync``."""
    version = str(server.get("redis_version", "0.0"))
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        yield Finding(f"Redis is version {version}", "use Redis 6.2 or newer, or any Valkey", unfit=True)
    yield from _memory(server, queues, results)
    if redis.is_strict:
        yield from _strict(server)
    if not server.get("aof_enabled"):
        hint = "set `appendonly yes` in its configuration"
        yield Finding("the append-only file of Redis is off: a crash loses invocations", hint, unfit=False)
    elif server.get("aof_last_write_status") != "ok":
        yield Finding("Redis cannot write its append-only file", "is the disk full?", unfit=False)


def _strict(server: Mapping[str, Any]) -> Iterator[Finding]:
    if not server.get("aof_enabled"):
        hint = "set `appendonly yes` in its configuration"
        yield Finding("durability is strict and the append-only file of Redis is off", hint, unfit=True)
    # With `everysec` WAITAOF answers too early, in Redis from 7.4 on (redis/redis#13793) and in Valkey.
    if (appendfsync := server.get("appendfsync")) != "always":
        hint = "set `appendfsync always` in its configuration"
        yield Finding(f"durability is strict and Redis syncs {appendfsync} (appendfsync)", hint, unfit=True)


def _memory(server: Mapping[str, Any], queues: groups.Queues, results: groups.Results) -> Iterator[Finding]:
    bound, policy = int(server.get("maxmemory", 0)), server.get("maxmemory_policy", "noeviction")
    if not bound:
        return
    if policy != "noeviction":
        hint = "set `maxmemory-policy noeviction` in its configuration"
        yield Finding(f"Redis drops keys when its memory is full (maxmemory-policy {policy})", hint, unfit=True)
    if queues.max_waiting_bytes > bound * _SHARE_THAT_WAITS:
        text = f"max_waiting_bytes is {queues.max_waiting_bytes}, over half of Redis's maxmemory of {bound}"
        yield Finding(text, "set FAAS_MAX_WAITING_BYTES lower, or `maxmemory` higher", unfit=True)
    if queues.max_unrecorded_bytes > bound * _SHARE_UNRECORDED:
        text = f"max_unrecorded_bytes is {queues.max_unrecorded_bytes}, over a quarter of Redis's maxmemory of {bound}"
        yield Finding(text, "set FAAS_MAX_UNRECORDED_BYTES lower, or `maxmemory` higher", unfit=True)
    kept = results.max_kept_bytes + results.max_answers_bytes
    total = queues.max_waiting_bytes + queues.max_unrecorded_bytes + kept
    if total > bound * _SHARE_OF_ALL:
        text = (
            f"max_waiting_bytes, max_unrecorded_bytes, max_kept_bytes and max_answers_bytes are {total} together,"
            f" over seven eighths of Redis's maxmemory of {bound}"
        )
        hint = "set FAAS_MAX_ANSWERS_BYTES or another of them lower, or `maxmemory` higher"
        yield Finding(text, hint, unfit=True)


def require(redis: groups.Redis, queues: groups.Queues, results: groups.Results) -> None:
    """Raise `errors.Conflict` when Redis is unfit, `errors.Unavailable` when it does not answer; log what is amiss."""
    with redis_client.translated(), redis_py.Redis.from_url(redis.redis_url, socket_timeout=5) as client:
        server = client.info()
        if redis.is_strict:
            server |= cast(Any, client.config_get("appendfsync"))
    for finding in findings(server, redis, queues, results):
        if finding.unfit:
            raise errors.Conflict(finding.text, hint=finding.hint)
        _log.warning("redis_amiss", extra={"reason": finding.text, "hint": finding.hint})
