"""All edges, and how one is run with what it needs around it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from faas.valkey import embedded
from tests.fuzz import edge
from tests.fuzz.edges import (
    agent,
    api,
    archives,
    entries,
    frames,
    gateway,
    manifest,
    objects,
    requirements,
    results,
    texts,
)

EDGES: dict[str, type[edge.Edge]] = {
    each.name: each
    for each in (
        gateway.GatewayEdge, api.ApiEdge, frames.FrameEdge, agent.AgentEdge, results.ResultEdge, manifest.ManifestEdge,
        archives.ArchiveEdge, requirements.RequirementsEdge, requirements.WheelEdge, objects.ObjectEdge,
        entries.EntryEdge,
        texts.SettingsEdge, texts.ScheduleEdge, texts.FieldsEdge,
    )
}  # fmt: skip


@contextlib.asynccontextmanager
async def around(kind: type[edge.Edge]) -> AsyncIterator[edge.Around]:
    """What an edge needs: a folder that goes with it, and a server of its own where it asks for one."""
    with tempfile.TemporaryDirectory(prefix="faas-fuzz-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        if not kind.needs_redis:
            yield edge.Around(home)
            return
        server = embedded.EmbeddedServer(Path(folder) / "redis")
        url = await server.start()
        try:
            yield edge.Around(home, url)
        finally:
            await asyncio.shield(server.stop())
