"""The job that removes what is past its time: it looks every few minutes, in one process at a time.

It may be killed at any moment. Each of its transactions is whole, and the next look begins with what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import sqlalchemy as sa

from faas.cluster import catalog
from faas.core import clock, errors, keeping
from faas.core import settings as settings_module
from faas.queue import keys as keyring
from faas.queue import server as servers
from faas.retention import ledger, revisions, steps
from faas.store import database, keep_rules, kept, past, removal, rolling, turns

_FIRST_AFTER_S = 30.0
"""A platform that starts has other things to do."""

_log = logging.getLogger(__name__)


async def run(settings: settings_module.Settings, stop: asyncio.Event) -> None:
    """Look again and again until ``stop`` is set. What fails is logged, and tried again at the next look."""
    pausing = steps.Steps(stop)
    wait_s = min(_FIRST_AFTER_S, settings.retention.retention_interval_s)
    job: Job | None = None
    try:
        while not stop.is_set():
            await pausing.pause(wait_s)
            wait_s = settings.retention.retention_interval_s
            if stop.is_set():
                return
            try:
                # Opened at the first look, so that a recorder begins without a Redis or a database that is away.
                job = job or await Job.open(settings, stop)
                await job.look()
            except (errors.FaasError, sa.exc.SQLAlchemyError, OSError) as error:
                _log.warning("retention_waits", extra={"reason": str(error).partition("\n")[0]})
    finally:
        if job is not None:
            await job.close()


class Job:
    """What removes things, with its connections."""

    def __init__(
        self,
        settings: settings_module.Settings,
        engine: sa.Engine,
        server: servers.RedisServer,
        versions: catalog.Catalog,
        stop: asyncio.Event,
        *,
        grace_s: float = revisions.GRACE_S,
        synced_s: float = ledger.SYNCED_S,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._server = server
        self._versions = versions
        self._notes = kept.RemovalNotes(engine)
        self._past = past.Past(engine)
        self._rules = keep_rules.KeepRules(engine)
        taking = steps.Steps(stop)
        root = settings.data.root
        self._ledger = ledger.OldRecords(
            settings.retention, server, removal.Removal(engine), rolling.Merger(engine), taking, synced_s
        )
        self._revisions = revisions.Revisions(root, settings.retention, server, self._past, self._notes, grace_s)
        self._bundles = revisions.Bundles(root, self._past, self._notes, settings.building.max_artifact_bytes)

    @classmethod
    async def open(cls, settings: settings_module.Settings, stop: asyncio.Event, **waits: float) -> Job:
        """Raises `errors.Unavailable` while Redis or the database is away."""
        engine = await asyncio.to_thread(database.open_database, settings.data)
        try:
            keys = keyring.Keys(settings.redis.redis_prefix)
            server = servers.RedisServer(await servers.opened(settings.redis.redis_url, keys), keys)
        except BaseException:
            await asyncio.to_thread(engine.dispose)
            raise
        versions = await catalog.Catalog.open(settings.redis.redis_url, settings.redis.redis_prefix)
        return cls(settings, engine, server, versions, stop, **waits)

    async def look(self) -> None:
        """Remove all that is past its time, unless another process is at it. What fails does not keep the rest."""
        with turns.retention(self._engine, self._settings.data.root) as is_ours:
            if not is_ours:
                return
            now_ms = clock.now_ms()
            # Anew at each look: somebody may have set one while the platform runs.
            terms = keeping.Terms(self._settings.retention, await asyncio.to_thread(self._rules.all))
            with contextlib.suppress(errors.Unavailable):  # each part says so itself, and some need no Redis
                await self._server.reopen()
            # Bundles last: a revision that goes may have been the last that needed one.
            await self._each(
                lambda: self._ledger.logs(now_ms, terms),
                lambda: self._ledger.rollups(now_ms, terms),
                lambda: self._ledger.letters(now_ms, terms),
                lambda: self._ledger.records(now_ms, terms),
                lambda: self._old_revisions(now_ms, terms),
                lambda: asyncio.to_thread(self._bundles.look),
            )
            await asyncio.to_thread(self._rules.forget_gone)
            await asyncio.to_thread(self._notes.looked, now_ms)

    async def _each(self, *parts: Callable[[], Awaitable[None]]) -> None:
        for part in parts:
            try:
                await part()
            except errors.Unavailable as error:
                _log.warning("retention_waits", extra={"reason": error.message})

    async def _old_revisions(self, now_ms: int, terms: keeping.Terms) -> None:
        """A node that does not know the catalog as it is may still send to what is no longer current."""
        version = await asyncio.to_thread(self._past.catalog_version)
        if all(node.catalog >= version for node in (await self._versions.nodes()).values()):
            await self._revisions.look(now_ms, terms)

    async def close(self) -> None:
        """Drop the connections."""
        self._server.close()
        await self._versions.close()
        await asyncio.to_thread(self._engine.dispose)
