"""The process that serves the control API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from faas import builds
from faas.api import app
from faas.core import errors
from faas.core import settings as settings_module

Ready = Callable[[dict[str, Any]], None]


async def run(settings: settings_module.Settings, stop: asyncio.Event, ready: Ready, builder: builds.Builds) -> None:
    """Serve until ``stop`` is set; ``ready`` is called with ``{"url"}`` once requests are answered.

    Raises `errors.Conflict` when the port is in use and `errors.Unavailable` when there is no token.
    """
    runner = web.AppRunner(
        app.create_app(settings, read_token(settings), builder),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=5,
    )
    await runner.setup()
    try:
        # `faas up` holds the port; and the closed connections of one that was killed are shared with the next.
        site = web.TCPSite(runner, settings.host, settings.api_port, reuse_port=True)
        await _start(site, settings)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        ready({"url": f"http://{host}:{runner.addresses[0][1]}"})
        await stop.wait()
    finally:
        await runner.cleanup()


def read_token(settings: settings_module.Settings) -> str:
    """The platform's token. Raises `errors.Unavailable` when `faas up` has not written it."""
    file = settings.root / "token"
    try:
        token = file.read_text().strip()
    except OSError as error:
        raise errors.Unavailable(f"the token cannot be read: {error}", hint="`faas up` writes it") from error
    if not token:
        raise errors.Unavailable(f"{file} is empty", hint="delete it and restart the platform")
    return token


async def _start(site: web.TCPSite, settings: settings_module.Settings) -> None:
    try:
        await site.start()
    except OSError as error:
        hint = "choose another api_port (0 takes any free one)"
        raise errors.cannot_listen(error, settings.host, settings.api_port, hint) from error
