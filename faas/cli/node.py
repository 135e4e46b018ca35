"""One node, put together: a gateway and a runner on one event loop, joined by the hand-off.

This is the only place that knows triggers and runners at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from faas import buckets
from faas.cli import languages, platform_dir
from faas.cluster import catalog as versions
from faas.core import clock, errors
from faas.core import settings as settings_module
from faas.core.calls import dispatch
from faas.core.http import addresses, hosts
from faas.core.processes import garbage, precedence
from faas.queue import invocations, replies
from faas.serving import port
from faas.store import database, functions
from runners import node as nodes
from runners.engines import choose
from runners.sandbox import base
from triggers import catalog
from triggers.gateway import gateway, limits, routes, server

Ready = Callable[[dict[str, Any]], None]

_BUCKETS_SWEPT_EVERY_S = 600.0
THREADS_TAKE_TURNS_EVERY_S = 0.0005
_ENGINE_ASKED_EVERY_S = 1.0

_log = logging.getLogger(__name__)


async def run(settings: settings_module.Settings, stop: asyncio.Event, ready: Ready) -> None:
    """Serve until ``stop`` is set; ``ready`` is called once requests are answered.

    Raises `errors.Conflict` when the port is in use, `errors.Unavailable` when Redis or the engine does not answer.
    """
    async with contextlib.AsyncExitStack() as stack:
        queue = await invocations.Queue.of(settings.redis, settings.queues, settings.results)
        stack.callback(queue.close)
        # What is opened first is closed last: the engine ends before the links by which it tells what ended.
        answers = await replies.Replies.open(settings.redis.redis_url, settings.redis.redis_prefix)
        stack.push_async_callback(answers.close)
        database_engine = await asyncio.to_thread(database.open_database, settings.data)
        stack.callback(database_engine.dispose)
        store = functions.Functions(database_engine)
        known_buckets = buckets.Known(buckets.opener(settings.data))
        closed = _Closed(settings, queue, answers, store, ready)
        engine = await _engine(settings, known_buckets, closed, stop)
        if engine is None:
            return
        stack.push_async_callback(engine.close)
        # Only the engine that was chosen says so, so this cannot be asked with the other settings.
        _refuse_to_expose(settings, isolates=engine.isolates)
        node = await nodes.Node.start(settings, engine, queue, store)
        ending = _Ending(settings.runners.grace_ms / 1000)
        # Behind the gateway's end, which is within the block below: then no call comes any more.
        stack.push_async_callback(lambda: node.drain(ending.left_s()))
        follower = Follower(settings, store, node, known_buckets)
        # Before it listens: a request that came first would find no route.
        await follower.catch_up()
        hand_off = node if settings.runners.hand_off else dispatch.NoHandOff()
        served = gateway.Gateway(queue, answers, hand_off, lambda: follower.table, _limits(settings))
        async with (
            _beside(follower.follow(), _keep_clean(known_buckets)),
            _serving(settings, served) as url,
        ):
            # Last before the first call: what is made until here lives as long as the node.
            garbage.keep_what_is_there()
            # Containers are children of the engine's daemon, processes of this one.
            if engine.isolates:
                precedence.come_first()
            # A thread that reads a huge bucket, say, lets the loop go on after that, and not after ten times as long.
            sys.setswitchinterval(THREADS_TAKE_TURNS_EVERY_S)
            ready({"pid": os.getpid(), "gateway": url, "node": node.node, "engine": engine.name})
            await stop.wait()
            ending.begin()
            _log.info("node_drains", extra={"node": node.node})


async def _engine(
    settings: settings_module.Settings, known_buckets: buckets.Known, closed: _Closed, stop: asyncio.Event
) -> base.Engine | None:
    """The engine; None when ``stop`` is set before it answers.

    A platform that runs already is not brought down by an engine that is away for a while: the node awaits it, and
    tells callers so. Raises `base.EngineUnavailable` where none runs yet.
    """
    try:
        return await choose.choose(
            settings.data.root,
            settings.sandboxes,
            known_buckets.find,
            languages.known(settings.sandboxes.base_image),
            _say_progress,
        )
    except base.EngineUnavailable as error:
        if platform_dir.running(settings.data.root) is None or platform_dir.published(settings.data.root) is None:
            raise
        why = error
    _log.warning("engine_away", extra={"reason": why.message, "hint": why.hint})
    async with closed.serving(why):
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ENGINE_ASKED_EVERY_S):
                    await stop.wait()
                    break
            # What is deployed meanwhile is accepted, too, and runs when the engine is back.
            await closed.catch_up()
            # Still away: nothing is logged, as it is asked each second.
            with contextlib.suppress(base.EngineUnavailable):
                engine = await choose.choose(
                    settings.data.root,
                    settings.sandboxes,
                    known_buckets.find,
                    languages.known(settings.sandboxes.base_image),
                    _say_progress,
                )
                _log.info("engine_back", extra={"engine": engine.name})
                return engine
    return None


class _Closed:
    """The gateway of a node whose engine is away: sync calls get 503, async ones wait in the queue until it is back."""

    def __init__(
        self,
        settings: settings_module.Settings,
        queue: invocations.Queue,
        answers: replies.Replies,
        store: functions.Functions,
        ready: Ready,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._answers = answers
        self._store = store
        self._ready = ready
        self._known = catalog.Snapshot()
        self._table = routes.Routes(())

    @contextlib.asynccontextmanager
    async def serving(self, why: base.EngineUnavailable) -> AsyncIterator[None]:
        """Answer requests during the block."""
        await self.catch_up()
        refuses = dispatch.Refuses(f"no function runs now: {why.message}", "see `faas doctor`")
        served = gateway.Gateway(self._queue, self._answers, refuses, lambda: self._table, _limits(self._settings))
        async with _serving(self._settings, served) as url:
            self._ready({"pid": os.getpid(), "gateway": url})
            yield

    async def catch_up(self) -> None:
        """Take in the routes as they are now."""
        found = await catalog.newer(self._store, self._known)
        if found is not self._known:
            self._known, self._table = found, routes.Routes(found.revisions, found.stops)


class _Ending:
    """The grace period that calls at the gateway and attempts on the node share."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._until = 0.0

    def begin(self) -> None:
        """Let the grace period run from now on."""
        self._until = clock.steady_s() + self._grace_s

    def left_s(self) -> float:
        """What is left of the grace period, in seconds."""
        return max(self._until - clock.steady_s(), 0.0)


class Follower:
    """Keeps gateway and runner to the catalog as it is now."""

    def __init__(
        self,
        settings: settings_module.Settings,
        store: functions.Functions,
        node: nodes.Node,
        known_buckets: buckets.Known,
    ) -> None:
        self.table = routes.Routes(())
        self._settings = settings
        self._store = store
        self._node = node
        self._buckets = known_buckets
        self._known = catalog.Snapshot()

    async def catch_up(self) -> None:
        """Take in what has changed. The lease is not renewed while Redis is away; the next heartbeat does it."""
        found = await catalog.newer(self._store, self._known)
        if found is self._known:
            return
        self._known = found
        self._buckets.adopt(found.buckets)
        self.table = routes.Routes(found.revisions, found.stops)
        # The routes are taken in all the same, as they come from SQL.
        with contextlib.suppress(errors.Unavailable):
            await self._node.adopt(found.version, found.revisions, found.stops)

    async def follow(self) -> None:
        """Catch up whenever a change is announced, and now and then in case that an announcement was missed."""
        announced = await versions.Announcements.open(self._settings.redis.redis_url, self._settings.redis.redis_prefix)
        try:
            while True:
                await announced.wait(self._settings.leases.heartbeat_ms / 1000)
                await self.catch_up()
        finally:
            await announced.close()


def _limits(settings: settings_module.Settings) -> limits.Limits:
    return limits.Limits(
        max_event_bytes=settings.sandboxes.max_event_bytes,
        max_queue_wait_ms=settings.queues.max_queue_wait_ms,
        receive_timeout_ms=settings.listening.receive_timeout_ms,
        keep_answers_ms=settings.results.keep_answers_ms,
        keep_alive_ms=settings.listening.keep_alive_ms,
        max_connections=settings.listening.max_connections,
        max_connection_bytes=settings.listening.max_connection_bytes,
        names=hosts.of(settings.listening.host_names),
        trusted_proxies=addresses.networks(settings.listening.trusted_proxies, "trusted_proxies"),
    )


def _serving(
    settings: settings_module.Settings, served: gateway.Gateway
) -> contextlib.AbstractAsyncContextManager[str]:
    """Answer requests on the gateway's port; at the end, those here get the grace period for their answers."""
    grace_s = settings.runners.grace_ms / 1000
    return port.serving(server.GatewayServer(served), settings.listening.host, settings.listening.port, grace_s=grace_s)


@contextlib.asynccontextmanager
async def _beside(*works: Any) -> AsyncIterator[None]:
    """Run coroutines for as long as the block lasts; one that fails ends the block."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def _keep_clean(known_buckets: buckets.Known) -> None:
    """Remove what processes that were killed as they published an object left in the buckets; now, and now and then."""
    while True:
        try:
            swept = await asyncio.to_thread(known_buckets.sweep)
        except errors.FaasError as error:
            _log.debug("buckets_not_swept", extra={"reason": error.message})
        else:
            if swept:
                _log.info("buckets_swept", extra={"files": swept})
        await asyncio.sleep(_BUCKETS_SWEPT_EVERY_S)


def _refuse_to_expose(settings: settings_module.Settings, *, isolates: bool) -> None:
    """Functions that nothing contains are not offered to other machines."""
    # A name that every machine resolves to itself (RFC 6761, section 6.3).
    if isolates or settings.listening.host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(settings.listening.host).is_loopback
    # A name may lead anywhere, now or later.
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise errors.Conflict(
            f"process sandboxes isolate nothing, so the gateway does not listen on {settings.listening.host}",
            hint="install Docker, or leave host at 127.0.0.1",
        )


def _say_progress(text: str) -> None:
    _log.info("base_image", extra={"step": text})
