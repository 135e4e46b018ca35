"""What holds of a sandbox that is reached through TCP alone, besides the contract of all sandboxes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas import artifacts, buckets
from faas.buckets.folder import bucket as folders
from faas.cli import languages
from faas.core import ids, model
from faas.core import settings as settings_module
from runners.sandbox import base, frames, hosted
from tests import attempts
from tests.eventually import eventually
from tests.far import engine as far

MIB = 1 << 20
ACCESS = {"photos": model.Access.READ, "thumbs": model.Access.WRITE}
APP = """
import errno, os, socket, time

def handler(event, context):
    return globals()[event.pop("do")](context, **event)

def looks(context, hidden):
    return {"seen": [os.path.exists(path) for path in hidden],
            "networks": sorted(name for _, name in socket.if_nameindex()),
            "variables": [name for name in os.environ if "TOKEN" in name],
            "first": open("/proc/1/cmdline").read().split("\\0")[1:4]}

def writes(context, mib):
    try:
        with context.bucket("thumbs").open("large", "wb") as file:
            for _ in range(mib):
                file.write(b"x" * (1 << 20))
    except OSError as error:
        return errno.errorcode[error.errno]
    return len(list(context.bucket("thumbs").list()))

def writes_and_waits(context):
    file = context.bucket("thumbs").open("half", "wb")
    file.write(b"x" * 5_000_000)
    print("half is written", flush=True)
    time.sleep(60)

def opens(context, count):
    kept = []
    try:
        for _ in range(count):
            kept.append(context.bucket("photos").open("a"))
    except OSError as error:
        return str(error)

def reads_while_it_is_replaced(context):
    with context.bucket("photos").open("a") as file:
        first = file.read(10)
        context.bucket("thumbs").write_bytes("go on", b"")
        while not context.bucket("thumbs").exists("gone on"):
            time.sleep(0.01)
        return first.decode(), file.read(10).decode()
"""


class Bench:
    """An engine of far sandboxes, its buckets, and what runs there."""

    def __init__(self, limits: settings_module.Settings, root: Path, **options: Any) -> None:
        self.limits = limits
        found = {name: folders.BucketFolder(name, root / name) for name in ACCESS}
        for name in ACCESS:
            (root / name).mkdir(exist_ok=True)
        self.buckets: dict[str, buckets.Bucket] = dict(found)
        self.engine = far.FarEngine(
            limits, found.get, languages.known(limits.sandboxes.base_image), hidden=[root], **options
        )
        source = root / "source"
        source.mkdir(exist_ok=True)
        (source / "app.py").write_text(APP)
        self._digest, _ = artifacts.Artifacts(limits.data.root).pack(source)
        self.started: list[base.Sandbox] = []

    async def loaded(self) -> base.Sandbox:
        sandbox = await self.engine.start(base.Spec(runtime="python3"))
        self.started.append(sandbox)
        loaded = await sandbox.load(self.revision())
        assert loaded.error is None, loaded
        return sandbox

    def revision(self) -> model.Revision:
        config = model.FunctionConfig(runtime="python3", handler="app.handler", timeout_ms=30_000, buckets=ACCESS)
        return model.Revision(function="f", number=1, artifact=self._digest, config=config, created_at_ms=0)

    async def run(self, **event: Any) -> Any:
        ran = await attempts.begun(await self.loaded(), invocation(event))
        assert ran.error is None, ran
        return json.loads(ran.body)

    async def close(self) -> None:
        for sandbox in self.started:
            await sandbox.close()
        await self.engine.close()


def invocation(event: object) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function="f",
        revision=1,
        trigger="invoke",
        mode=model.Mode.SYNC,
        event=json.dumps(event).encode(),
        accepted_at_ms=1_700_000_000_000,
    )


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(settings_module.of(data_dir=str(tmp_path / "data"), max_file_mb=8), tmp_path)
    yield made
    await made.close()


@pytest.mark.skipif(not far.can_be_apart(), reason="this host gives nobody namespaces of its own")
async def test_it_shares_no_folder_and_no_network_with_its_runner(bench: Bench, tmp_path: Path) -> None:
    hidden = [tmp_path / "photos", tmp_path / "source", bench.limits.data.root / "artifacts"]
    assert all(path.exists() for path in hidden)
    seen = await bench.run(do="looks", hidden=[str(path) for path in hidden])
    assert seen == {"seen": [False] * 3, "networks": ["lo"], "variables": [], "first": ["-u", "-B", seen["first"][2]]}


async def test_it_may_call_home_by_itself(tmp_path: Path) -> None:
    bench = Bench(settings_module.of(data_dir=str(tmp_path / "data")), tmp_path, apart=False)
    assert await bench.run(do="writes", mib=2) == 1
    await bench.close()


@pytest.mark.parametrize(("mib", "answer"), [(8, 1), (9, "EFBIG")])
async def test_what_it_writes_is_as_large_as_a_file_may_be(bench: Bench, mib: int, answer: object) -> None:
    assert await bench.run(do="writes", mib=mib) == answer
    found = bench.buckets["thumbs"].list()
    assert [each.size for each in found] == ([8 * MIB] if answer == 1 else [])


@pytest.mark.parametrize("how", ["closes", "vanishes"])
async def test_a_sandbox_that_hangs_up_in_the_middle_of_an_object_leaves_nothing(bench: Bench, how: str) -> None:
    sandbox = await bench.loaded()
    running = attempts.begun(sandbox, invocation({"do": "writes_and_waits"}))
    await eventually(lambda: _open_under(bench, "thumbs"))
    if how == "closes":
        await sandbox.close()
    else:
        bench.engine.places[sandbox.id].kill()
    if how == "closes":
        with pytest.raises(base.SandboxLost):
            await running
    else:
        assert (await running).status is model.Status.ERROR
    await eventually(lambda: not _open_under(bench, "thumbs"))
    assert bench.buckets["thumbs"].list() == []


async def test_it_has_so_many_objects_open_at_once(bench: Bench) -> None:
    buckets.put(bench.buckets["photos"], "a", b"x")
    assert await bench.run(do="opens", count=64) is None
    assert "more than 64 objects are being read at once" in await bench.run(do="opens", count=65)
    await eventually(lambda: not _open_under(bench, "photos"))


async def test_who_reads_an_object_that_is_replaced_meanwhile_reads_the_old_one(bench: Bench) -> None:
    buckets.put(bench.buckets["photos"], "a", b"0" * 20)
    sandbox = await bench.loaded()
    running = attempts.begun(sandbox, invocation({"do": "reads_while_it_is_replaced"}))
    await eventually(lambda: bench.buckets["thumbs"].list())
    buckets.put(bench.buckets["photos"], "a", b"1" * 20)
    buckets.put(bench.buckets["thumbs"], "gone on", b"")
    assert json.loads((await running).body) == ["0" * 10, "0" * 10]


async def test_a_sandbox_that_has_gone_takes_no_code(bench: Bench) -> None:
    sandbox = await bench.loaded()
    await sandbox.close()
    with pytest.raises(base.SandboxLost):
        await sandbox.load(bench.revision())


def _open_under(bench: Bench, name: str) -> list[str]:
    folder = str(bench.limits.data.root.parent / name)
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return [path for path in found if path.startswith(folder)]


async def test_sandboxes_of_one_node_write_at_once(bench: Bench) -> None:
    first, second = await bench.loaded(), await bench.loaded()
    outcomes = await asyncio.gather(
        *(attempts.begun(each, invocation({"do": "writes", "mib": 8})) for each in (first, second))
    )
    assert [outcome.body for outcome in outcomes] == [b"1", b"1"]


async def test_an_agent_that_takes_descriptors_alone_is_loaded_elsewhere_without_buckets(bench: Bench) -> None:
    sandbox = await bench.engine.start(base.Spec(runtime="python3"))
    assert isinstance(sandbox, hosted.HostedSandbox)
    bench.started.append(sandbox)
    sandbox._says = frames.Ready(pid=1)
    loaded = await sandbox.load(bench.revision())
    assert loaded.status is model.Status.INIT_ERROR
    assert loaded.error is not None
    assert loaded.error.type == "Runtime.NoStreams"
    without = msgspec.structs.replace(bench.revision().config, buckets={})
    assert (await sandbox.load(msgspec.structs.replace(bench.revision(), config=without))).error is None
