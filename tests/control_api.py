"""The real control API on loopback, with one bucket, ``photos``, in its catalog."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from faas import builds
from faas.api import server
from faas.cli import languages
from faas.core import model
from faas.core import settings as settings_module
from faas.store import database, functions

TOKEN = "secret"


def make_bucket(settings: settings_module.Settings) -> Path:
    """Put the bucket into the catalog; its folder, which is made by the first object."""
    engine = database.open_database(settings.data)
    functions.Functions(engine).activate([], [model.Bucket(name="photos")])
    engine.dispose()
    return settings.data.root / "buckets" / "photos"


@contextlib.asynccontextmanager
async def serving(settings: settings_module.Settings) -> AsyncIterator[str]:
    """The URL of a control API that takes `TOKEN`."""
    (settings.data.root / "token").write_text(TOKEN)
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        server.run(
            settings,
            stop,
            ready.set_result,
            builds.Builds(
                settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
            ),
        )
    )
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        yield ready.result()["url"]
    finally:
        stop.set()
        await task
