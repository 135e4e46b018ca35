"""The model case on sandboxes that are reached through TCP alone: an upload runs a function, which writes an object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from faas import buckets
from faas.core import model
from faas.core import settings as settings_module
from runners.sandbox import base
from tests import node_bench
from tests.eventually import eventually
from tests.far import engine as far
from triggers import upload

FUNCTIONS = Path(__file__).parent.parent / "functions"


@pytest.fixture
async def bench(settings: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    quick = settings_module.changed(settings, engine="process", heartbeat_ms=100)
    made = await node_bench.Bench.open(quick)
    yield made
    await made.close()


async def test_an_upload_runs_a_function_elsewhere_whose_object_is_published(
    bench: node_bench.Bench, tmp_path: Path
) -> None:
    declared = [model.Bucket(name=name) for name in ("photos", "thumbs")]
    photos, thumbs = (buckets.opener(bench.settings.data)(each) for each in declared)
    revision = bench.function(
        FUNCTIONS / "copies",
        "app.handler",
        name="copies",
        buckets={"photos": model.Access.READ, "thumbs": model.Access.WRITE},
        triggers=(model.UploadTrigger(bucket="photos"),),
    )
    bench.store.activate([revision], declared)

    def engine(*given: Any) -> base.Engine:
        made = far.FarEngine(*given, hidden=[tmp_path])
        made.room = base.EngineRoom(memory_mb=1_000_000, processors=2)  # more than this machine has
        return made

    node = await bench.node(make=engine, stock_none=1)
    assert node.memory.free_mb == 1_000_000
    stop = asyncio.Event()
    watching = asyncio.create_task(
        upload.run(
            bench.settings.sandboxes,
            bench.settings.data,
            bench.queue,
            bench.store,
            stop,
            buckets.opener(bench.settings.data),
        )
    )
    await asyncio.to_thread(buckets.put, photos, "in/ä one", b"0123456789" * 300_000)
    await eventually(lambda: [found.key for found in thumbs.list()] == ["in/ä one"], within=60)
    with_it = await asyncio.to_thread(lambda: thumbs.open("in/ä one").read(0, 10_000_000))
    (record,) = await bench.records(1)
    stop.set()
    await watching
    assert with_it == b"0123456789" * 600_000
    assert record.status is model.Status.OK
    assert record.billed_ms >= 1
