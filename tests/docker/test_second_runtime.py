"""A second language, deployed and called in both engines, of which nothing knows but its own folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from faas.builds import deploy, nodes, progress
from faas.cli import languages
from faas.core import clock, errors, ids, model
from faas.core import settings as settings_module
from faas.runtimes import table
from runners.engines import choose
from runners.sandbox import base
from tests import node_bench
from tests.eventually import eventually
from tests.project_files import function, project, tar
from tests.sh import runtime as sh

ENGINES = ["process", pytest.param("docker", marks=pytest.mark.docker)]
SHOUT = """read -r event
echo "$GREETING $event" | tr a-z A-Z
echo called >&2
"""


@pytest.fixture(params=ENGINES)
def limits(request: pytest.FixtureRequest, settings: settings_module.Settings) -> settings_module.Settings:
    return settings_module.changed(settings, engine=request.param, heartbeat_ms=100, memory_mb=2_048)


@pytest.fixture
async def bench(limits: settings_module.Settings) -> AsyncIterator[node_bench.Bench]:
    made = await node_bench.Bench.open(limits)
    yield made
    await made.close()


def both(limits: settings_module.Settings) -> table.Runtimes:
    return table.Runtimes([*languages.known(limits.sandboxes.base_image), sh.Sh()])


async def _deploy(bench: node_bench.Bench, files: dict[str, str | bytes], **config: Any) -> model.Revision:
    """Build, load and activate one function, and tell the nodes."""
    given = {"runtime": "sh", "handler": "hello.sh", "env": {"GREETING": "hello"}, **config}
    made = project(function("hello", requirements=given.pop("requirements", None), **given))
    folder = bench.settings.data.root / "builds" / ids.new_id()
    tar(folder / "0.tar", files)
    steps = progress.Progress(lambda _changes: None)
    known = nodes.RedisNodes(bench.settings.redis, both(bench.settings))
    deployer = deploy.Deployer(
        bench.settings.data, bench.settings.building, bench.settings.destinations, bench.store, known
    )
    await asyncio.to_thread(deployer.deploy, deploy.Uploaded(project=made, tars={"hello": "0.tar"}), folder, steps)
    for node in bench.nodes:
        await node.adopt(bench.store.catalog_version(), bench.store.list_current())
    revision = bench.store.current("hello")
    assert revision is not None
    return revision


async def test_a_script_is_deployed_and_called_and_kept_in_stock_from_then_on(bench: node_bench.Bench) -> None:
    node = await bench.node(both(bench.settings), stock_none=1, keep_min_ms=1_000, keep_max_ms=1_000)
    await eventually(lambda: node.report() == {"prewarmed": 1}, within=30)
    revision = await _deploy(bench, {"hello.sh": SHOUT})
    assert revision.config.runtime == "sh"
    outcome = await bench.call(revision, {"a": 1})
    assert (outcome.record.status, outcome.body) == (model.Status.OK, b'HELLO {"A":1}\n'), outcome.record
    (record,) = await bench.records(1)
    assert [line.text for line in record.logs] == ["called"]
    await eventually(lambda: node.report().get("prewarmed") == 2, within=30)
    greet = bench.function(Path(__file__).parent / "sandbox_functions", "app.echo", name="greet")
    assert node_bench.result(await bench.call(greet, "python")) == "python"


async def test_a_script_that_fails_is_the_functions_fault(bench: node_bench.Bench) -> None:
    await bench.node(both(bench.settings), stock_none=0)
    revision = await _deploy(bench, {"hello.sh": "exit 3\n"})
    record = (await bench.call(revision)).record
    assert record.error is not None
    assert (record.status, record.error.message) == (model.Status.ERROR, "it exited with 3")


async def test_what_its_build_refuses_is_refused(bench: node_bench.Bench) -> None:
    await bench.node(both(bench.settings), stock_none=0)
    with pytest.raises(errors.BuildFailed, match=r"hello: .*hello\.sh"):
        await _deploy(bench, {"hello.sh": "if true\n"})
    with pytest.raises(errors.BuildFailed, match="no requirements"):
        await _deploy(bench, {"hello.sh": SHOUT, "r.txt": "six\n"}, requirements="r.txt")
    with pytest.raises(errors.BuildFailed, match=r"there is no script other\.sh"):
        await _deploy(bench, {"hello.sh": SHOUT, "other.sh/x": ""}, handler="other.sh")
    assert bench.store.revisions("hello") == []


async def test_a_runtime_that_no_node_has_is_refused_and_those_that_there_are_are_named(
    bench: node_bench.Bench,
) -> None:
    await bench.node(stock_none=0)
    with pytest.raises(errors.BuildFailed, match=r"runtime sh is not available; the sandboxes have python3\.\d+$"):
        await _deploy(bench, {"hello.sh": SHOUT})


async def test_a_node_without_a_language_gives_up_nothing_for_it_and_leaves_its_calls_to_one_that_has_it(
    bench: node_bench.Bench, caplog: pytest.LogCaptureFixture
) -> None:
    there = await bench.node(both(bench.settings), stock_none=0)
    script = await _deploy(bench, {"hello.sh": SHOUT}, memory_mb=128)
    await there.drain(10)
    bench.nodes.remove(there)
    without = await bench.node(stock_none=0, memory_mb=128, keep_min_ms=60_000)
    greet = bench.function(Path(__file__).parent / "sandbox_functions", "app.echo", name="greet")
    await without.adopt(bench.store.catalog_version(), bench.store.list_current())
    assert node_bench.result(await bench.call(greet, "python")) == "python"
    id = await bench.send(script, "hear")
    # What has been idle for a second is anybody's who waits (`runners.shares`).
    since = clock.steady_s()
    await eventually(lambda: clock.steady_s() - since > 1.5)
    later = await bench.call(greet, "after it")
    assert (node_bench.result(later), later.record.cold_start) == ("after it", model.ColdStart.NONE)
    assert (await bench.counts(script)).waiting == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"].count("runtime_not_here") == 1
    await bench.node(both(bench.settings), stock_none=0)
    (ended,) = [record for record in await bench.records(3) if record.invocation_id == id]
    assert ended.status == model.Status.OK
    assert without.report() == {"idle": 1}


async def test_a_deploy_whose_handler_comes_to_a_node_without_its_language_says_so(bench: node_bench.Bench) -> None:
    there = await bench.node(both(bench.settings), stock_none=0)
    await bench.node(stock_none=0)
    await there.drain(10)
    bench.nodes.remove(there)
    with pytest.raises(errors.Unavailable, match=r"no node could load hello@1: this node has no sandboxes of sh"):
        await _deploy(bench, {"hello.sh": SHOUT})


async def test_a_sandbox_of_a_runtime_that_an_engine_does_not_have_is_no_sandbox(
    limits: settings_module.Settings,
) -> None:
    engine = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    try:
        with pytest.raises(base.EngineUnavailable, match="no sandboxes of sh"):
            await engine.start(base.Spec(runtime="sh"))
    finally:
        await engine.close()
