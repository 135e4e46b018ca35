"""The process that serves the control API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from faas import builds
from faas.api import app, speaking
from faas.api.prometheus import scraping
from faas.api.resources import events
from faas.core import errors, groups
from faas.core import settings as settings_module
from faas.health import checks, facts
from faas.serving import guarded, port, server

Ready = Callable[[dict[str, Any]], None]

_GRACE_S = 5


async def run(
    settings: settings_module.Settings,
    stop: asyncio.Event,
    ready: Ready,
    builder: builds.Builds,
    health: facts.Checks = checks.CHECKS,
    processes: scraping.Processes = scraping.none,
) -> None:
    """Serve until ``stop`` is set; ``ready`` is called with ``{"url"}`` once requests are answered.

    ``health`` are the checks whose facts it tells, and ``processes`` those of the platform on this machine.

    Raises `errors.Conflict` when the port is in use and `errors.Unavailable` when there is no token.
    """
    made = app.create_app(settings, read_token(settings.data.root), builder, health, processes)
    runner = web.AppRunner(
        made,
        access_log=None,
        # Who hangs up waits for nothing any more: what was asked in his name ends.
        handler_cancellation=True,
        shutdown_timeout=_GRACE_S,
        keepalive_timeout=2 * settings.listening.keep_alive_ms / 1000,  # the server's own time is up before
    )
    await runner.setup()
    served = _server(settings.listening, runner)
    try:
        hint = "choose another api_port (0 takes any free one)"
        serving = port.serving(
            served, settings.listening.host, settings.listening.api_port, grace_s=_GRACE_S, farewell_s=0.0, hint=hint
        )
        async with serving as url:
            ready({"url": url})
            await stop.wait()
            # Who listens to events would be waited for until the grace period is over.
            await made[events.HUB].close()
    finally:
        await runner.cleanup()


def _server(listening: groups.Listening, runner: web.AppRunner) -> server.Server:
    """A server as the gateway has one, on whose connections aiohttp speaks HTTP."""
    limits = server.PortLimits(
        receive_timeout_ms=listening.receive_timeout_ms,
        keep_alive_ms=listening.keep_alive_ms,
        max_connections=listening.max_connections,
        max_connection_bytes=listening.max_connection_bytes,
    )
    inner = runner.server
    assert inner is not None  # noqa: S101 - it was set up

    def connection() -> guarded.Guarded:
        return guarded.Guarded(made, limits, speaking.speaking(inner()))

    made = server.Server(limits, connection, runner.cleanup)
    return made


def read_token(root: Path) -> str:
    """The platform's token. Raises `errors.Unavailable` when `faas up` has not written it."""
    file = root / "token"
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise errors.Unavailable(f"the token cannot be read: {error}", hint="`faas up` writes it") from error
    if not token:
        raise errors.Unavailable(f"{file} is empty", hint="delete it and restart the platform")
    return token
