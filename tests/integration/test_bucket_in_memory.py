"""Nothing above the port of buckets knows files: a function and its trigger run on a bucket that has none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faas import artifacts, buckets
from faas.cli import languages
from faas.core import errors, events, ids, model
from faas.core import settings as settings_module
from faas.queue import invocations
from faas.store import database, functions
from runners.engines import choose
from runners.sandbox import base, spool
from tests import attempts, memory_bucket
from tests.eventually import eventually
from triggers import upload

CODE = Path(__file__).parent.parent / "functions" / "copies"
CONFIG = model.FunctionConfig(
    runtime="python3",
    handler="app.handler",
    timeout_ms=20_000,
    buckets={"photos": model.Access.READ, "thumbs": model.Access.WRITE},
    triggers=(model.UploadTrigger(bucket="photos"),),
)


@pytest.fixture
def made() -> dict[str, memory_bucket.MemoryBucket]:
    return {name: memory_bucket.MemoryBucket(name) for name in ("photos", "thumbs")}


@pytest.fixture
async def sandbox(
    settings: settings_module.Settings, made: dict[str, memory_bucket.MemoryBucket]
) -> AsyncIterator[base.Sandbox]:
    """A process sandbox that may use both buckets."""
    settings = settings_module.of(data_dir=settings.data.data_dir, engine="process")
    engine = await choose.choose(
        settings.data.root, settings.sandboxes, made.get, languages.known(settings.sandboxes.base_image)
    )
    digest, _ = artifacts.Artifacts(settings.data.root).pack(CODE)
    started = await engine.start(base.Spec(runtime="python3"))
    loaded = await started.load(
        model.Revision(function="copies", number=1, artifact=digest, config=CONFIG, created_at_ms=0)
    )
    assert loaded.error is None, loaded
    yield started
    await started.close()
    await engine.close()


async def test_an_upload_into_a_bucket_in_memory_runs_a_function_that_reads_and_writes_there(
    settings: settings_module.Settings, made: dict[str, memory_bucket.MemoryBucket], sandbox: base.Sandbox
) -> None:
    store = functions.Functions(database.open_database(settings.data))
    revision = store.add_revision("copies", "0" * 64, CONFIG)
    store.activate([revision], [model.Bucket(name=name) for name in made])
    queue = await invocations.Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    buckets.put(made["photos"], "before", b"0" * 3_000_000)
    async with _watching(settings, queue, store, made):
        await eventually(lambda: _claimed(queue, sandbox))
        buckets.put(made["photos"], "in/ä after", b"1")
        ran = await eventually(lambda: _claimed(queue, sandbox))
    assert json.loads(ran.body) == {"copied": "in/ä after", "thumbs": ["before", "in/ä after"]}
    assert made["thumbs"].look("before", buckets.Sign.FOUND).object.size == 6_000_000
    assert made["thumbs"].open("in/ä after").read(0, 10) == b"11"
    queue.close()


@contextlib.asynccontextmanager
async def _watching(
    settings: settings_module.Settings,
    queue: invocations.Queue,
    store: functions.Functions,
    made: dict[str, memory_bucket.MemoryBucket],
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(
        upload.run(settings.sandboxes, settings.data, queue, store, stop, lambda declared: made[declared.name])
    )
    try:
        yield
    finally:
        stop.set()
        await task


async def _claimed(queue: invocations.Queue, sandbox: base.Sandbox) -> base.Ran | None:
    """What the next invocation did, run as a node would."""
    for claim in await queue.claim("n", "copies@1", 1):
        ran = await attempts.begun(sandbox, claim.invocation)
        assert ran.status is model.Status.OK, ran
        return ran
    return None


async def test_what_a_function_writes_carries_its_chain_and_what_it_does_not_close_is_not_written(
    made: dict[str, memory_bucket.MemoryBucket], sandbox: base.Sandbox
) -> None:
    buckets.put(made["photos"], "a", b"x")
    run = _invocation("a")
    ran = await attempts.begun(sandbox, run)
    assert ran.status is model.Status.OK, ran
    assert made["thumbs"].look("a", buckets.Sign.FOUND).writer == buckets.Writer(7, run.id, "root")
    ran = await attempts.begun(sandbox, _invocation("missing"))
    assert ran.error is not None
    assert ran.error.type == "FileNotFoundError"
    assert [found.key for found in made["thumbs"].list()] == ["a"]


def _invocation(key: str) -> model.Invocation:
    invocation_id = ids.new_id()
    event = events.upload_event(
        invocation_id=invocation_id,
        bucket="photos",
        key=key,
        size=1,
        etag="e",
        version="v",
        modified_ns=0,
        region="local",
        configuration="c",
    )
    return model.Invocation(
        id=invocation_id,
        function="copies",
        revision=1,
        trigger="upload",
        mode=model.Mode.ASYNC,
        event=event,
        accepted_at_ms=1,
        depth=7,
        root_id="root",
    )


def test_a_spool_with_no_room_is_the_platforms_fault_and_leaves_nothing(
    made: dict[str, memory_bucket.MemoryBucket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    buckets.put(made["photos"], "a", b"x")
    with pytest.raises(errors.Unavailable, match="cannot be passed on"):
        spool.open_object(made["photos"], "a")
    with pytest.raises(errors.Unavailable, match="cannot be passed on"):
        spool.Spool.begin(made["thumbs"], "a")
    assert made["thumbs"].list() == []
