"""Whether Redis answers, keeps what it is told, and has the time of this machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, cast

import redis as redis_py

from faas.core import clock, groups
from faas.health import facts
from faas.valkey import fitness

_SKEW_MS = 1_000
_DRIFT_MS = 10
_ANSWERS_WITHIN_S = 5


def gather(redis: groups.Redis, queues: groups.Queues, results: groups.Results) -> Iterator[facts.Fact]:
    """The facts ``redis``, ``durability`` and ``clock``."""
    if not redis.redis_url:
        text = "no embedded server runs and FAAS_REDIS_URL is not set"
        yield facts.Fact("redis", facts.Severity.FAILED, text, "start the platform with `faas up`")
        return
    try:
        server, redis_ms = _ask(redis)
    except redis_py.RedisError as error:
        yield facts.Fact("redis", facts.Severity.FAILED, f"does not answer: {error}")
        return
    yield _redis(server)
    yield from _durability(server, redis, queues, results)
    yield _clock(redis_ms)


def _ask(redis: groups.Redis) -> tuple[dict[str, Any], int]:
    """What INFO says, and the time there in milliseconds."""
    opened = redis_py.Redis.from_url(
        redis.redis_url, socket_timeout=_ANSWERS_WITHIN_S, socket_connect_timeout=_ANSWERS_WITHIN_S
    )
    with contextlib.closing(opened) as client:
        server: dict[str, Any] = client.info()
        if redis.is_strict:
            server |= cast(Any, client.config_get("appendfsync"))
        seconds, micros = client.time()
    return server, int(seconds * 1000 + micros // 1000)


def _redis(server: dict[str, Any]) -> facts.Fact:
    if server.get("aof_last_write_status", "ok") != "ok":
        text = "cannot write its append-only file, and refuses work"
        return facts.Fact("redis", facts.Severity.FAILED, text, "is its disk full?")
    product = server.get("valkey_version") or server.get("redis_version")
    text = f"answers, version {product}, {server.get('used_memory_human')} used"
    return facts.Fact("redis", facts.Severity.OK, text)


def _durability(
    server: dict[str, Any], redis: groups.Redis, queues: groups.Queues, results: groups.Results
) -> Iterator[facts.Fact]:
    found = list(fitness.findings(server, redis, queues, results))
    for finding in found:
        state = facts.Severity.FAILED if finding.unfit else facts.Severity.WARNING
        yield facts.Fact("durability", state, finding.text, finding.hint)
    if not found:
        yield facts.Fact("durability", facts.Severity.OK, "append-only file on and written, nothing is evicted")


def _clock(redis_ms: int) -> facts.Fact:
    skew_ms = clock.now_ms() - redis_ms
    wall_ns, steady_s = clock.now_ns(), clock.steady_s()
    # Two clocks are compared over this time: a wall clock that is being corrected runs at another rate.
    time.sleep(0.05)
    drift_ms = abs((clock.now_ns() - wall_ns) / 1e6 - (clock.steady_s() - steady_s) * 1000)
    if abs(skew_ms) > _SKEW_MS or drift_ms > _DRIFT_MS:
        text = f"wall clock {skew_ms:+d} ms from Redis, {drift_ms:.1f} ms from the monotonic clock in 50 ms"
        hint = "timers and ages will be off; is the time synchronised?"
        return facts.Fact("clock", facts.Severity.WARNING, text, hint)
    return facts.Fact("clock", facts.Severity.OK, f"{skew_ms:+d} ms from Redis, steady")
