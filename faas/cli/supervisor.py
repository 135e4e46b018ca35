"""The process tree of `faas up`: the embedded server first, then every child; in the opposite order at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from faas.cli import child as child_module
from faas.core import errors
from faas.valkey import embedded, rewriting

_log = logging.getLogger(__name__)

_READY_WITHIN_S = 600.0
_SLOW_AFTER_S = 5.0
_MARGIN_S = 5.0
_CANCEL_AGAIN_S = 0.2


class Supervisor:
    """Starts the tree, keeps it running, and ends it phase by phase.

    ``say`` gets one line when something takes long; ``on_change`` is called when a child has been started again.
    """

    def __init__(
        self,
        server: embedded.EmbeddedServer | None,
        logs: Path,
        *,
        grace_s: float,
        say: Callable[[str], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._logs = logs
        self._grace_s = grace_s
        self._say = say
        self._on_change = on_change
        self._server_keeper: asyncio.Task[None] | None = None
        self._file_keeper: asyncio.Task[None] | None = None
        self._server_restarts = 0
        self._ending = False
        self.children: list[child_module.Child] = []

    def report(self) -> list[dict[str, Any]]:
        """Name, pid and number of restarts of each process."""
        rows: list[dict[str, Any]] = [
            {"name": one.spec.name, "pid": one.pid, "restarts": one.restarts} for one in self.children
        ]
        if self._server is not None:
            rows.insert(0, {"name": "redis", "pid": self._server.pid, "restarts": self._server_restarts})
        return rows

    async def start_server(self) -> str | None:
        """Start the embedded server, if it is ours to start, and keep it running; its URL."""
        if self._server is None:
            return None
        url = await self._server.start()
        self._server_keeper = asyncio.create_task(self._keep_server(self._server), name="keep redis")
        whole = rewriting.keep_whole(url, self._server.folder)
        self._file_keeper = asyncio.create_task(whole, name="keep the append-only file whole")
        return url

    async def start(self, specs: Sequence[child_module.ChildSpec]) -> None:
        """Start all children at once and wait until each is ready. Raises the first one's `errors.Unavailable`."""
        self.children = [child_module.Child(spec, self._logs, self._on_change) for spec in specs]
        try:
            # Together: the longest of them, which may build an image, is as long as all.
            async with asyncio.timeout(_READY_WITHIN_S), asyncio.TaskGroup() as starting:
                for one in self.children:
                    starting.create_task(self._start_one(one), name=f"start {one.spec.name}")
        except* errors.Unavailable as group:
            raise _first(group) from group

    async def stop(self) -> None:
        """End the children phase by phase, each within the grace period, then the server."""
        self._ending = True
        # The recorder last but the server: what the others settle as they end is recorded.
        for phase in sorted({one.spec.phase for one in self.children}):
            ending = [one for one in self.children if one.spec.phase == phase]
            # A node has the whole grace period for what runs, and a moment for itself.
            await asyncio.gather(*(one.stop(self._grace_s + _MARGIN_S) for one in ending))
        for keeper in (self._file_keeper, self._server_keeper):
            if keeper is not None:
                await ended(keeper)
        if self._server is not None:
            await self._server.stop()

    def kill(self) -> None:
        """End every child at once; `stop`, which is running, then has nothing to wait for."""
        for one in self.children:
            one.kill()

    async def _start_one(self, one: child_module.Child) -> None:
        slow = asyncio.get_running_loop().call_later(
            _SLOW_AFTER_S, self._say, f"waiting for {one.spec.name} (its log: {one.log_path})"
        )
        try:
            await one.start()
        finally:
            slow.cancel()

    async def _keep_server(self, server: embedded.EmbeddedServer) -> None:
        failures = 0
        while True:
            code = await server.exited()
            if self._ending:
                return
            failures += 1
            wait_s = child_module.delay_s(failures)
            _log.warning(
                "process_ended",
                extra={"kept": "redis", "code": child_module.describe(code), "starts_again_in_s": wait_s},
            )
            await asyncio.sleep(wait_s)
            try:
                await server.start()
                failures = 0
                self._server_restarts += 1
                self._on_change()
            except errors.FaasError as error:
                _log.error("redis_does_not_start", extra={"reason": error.message, "hint": error.hint})


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended. What it raises is not asked for."""
    while not task.done():
        task.cancel()
        # Once is not always enough: redis-py tells a cancel that meets it as it connects as an error of the connection.
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_S)


def _first(group: BaseExceptionGroup[errors.Unavailable]) -> errors.Unavailable:
    first = group.exceptions[0]
    return first if isinstance(first, errors.Unavailable) else _first(first)
