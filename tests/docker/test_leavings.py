"""Runners are killed while they start sandboxes: soon nothing of them is left, whatever the engine did meanwhile."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from faas.cli import languages
from faas.core import clock
from faas.core import settings as settings_module
from runners.engines import choose, folder
from runners.engines.docker import cgroups, container, freezing, making
from runners.sandbox import base
from tests import platform as platforms
from tests.eventually import eventually, eventually_sync

pytestmark = pytest.mark.docker

HERE = Path(__file__).parent
ECHO = HERE.parent / "functions" / "echo"
RUNNERS = 8
STAYS_AWAY_S = 8
"""How long nothing may come up after all is said to be gone: longer than this engine was ever seen to take."""


async def _open(data_dir: Path) -> base.Engine:
    limits = settings_module.of(data_dir=str(data_dir), engine="docker")
    return await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[base.Engine]:
    made = await _open(tmp_path)
    yield made
    await made.close()


def _names(root: Path) -> set[str]:
    """The sandboxes of which there is a container, in any state, or a folder."""
    client = docker.APIClient()
    try:
        identity = folder.identity(root / "sandboxes")
        label = f"{making.LABEL_DATA_DIR}={identity}"
        found = client.containers(all=True, filters={"label": label})
    finally:
        client.close()
    folders = {path.name for path in (root / "sandboxes").iterdir() if path.is_dir()}
    return {each["Labels"][making.LABEL_SANDBOX] for each in found} | {
        name for name in folders if not name.startswith("agent-")
    }


async def _killed_while_it_starts(data_dir: Path, after: int, later_s: float) -> None:
    """Run a runner until it has started so many sandboxes and a moment more."""
    runner = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "starting_runner.py"),
        "docker",
        str(data_dir),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert runner.stdout is not None
    for _ in range(after + 1):
        assert await runner.stdout.readline()
    with contextlib.suppress(TimeoutError):  # so the moment of the kill is any, also within a call to the engine
        await asyncio.wait_for(runner.wait(), later_s)
    runner.kill()
    await runner.wait()


async def _stays_away(root: Path) -> bool:
    try:
        await eventually(lambda: _names(root), within=STAYS_AWAY_S)
    except AssertionError:
        return True
    return False


async def test_of_runners_that_were_killed_while_they_started_sandboxes_only_the_living_ones_are_left(
    tmp_path: Path,
) -> None:
    rolls = random.Random(1)
    engine = await _open(tmp_path)
    mine = await engine.start(base.Spec(runtime="python3"))
    for _ in range(RUNNERS // 4):
        kills = [_killed_while_it_starts(tmp_path, rolls.randrange(3), rolls.random() / 4) for _ in range(4)]
        await asyncio.gather(*kills)
        await engine.sweep()
    await eventually(lambda: _swept(engine, tmp_path, {mine.id}), within=60)
    await mine.close()
    await _killed_while_it_starts(tmp_path, 1, 0.1)
    await engine.close()
    assert _names(tmp_path) == set()
    assert await _stays_away(tmp_path)
    assert not folder.dead_runners(tmp_path / "sandboxes")


async def _swept(engine: base.Engine, root: Path, left: set[str]) -> bool:
    """Look again and again, as a node does, until nothing of the dead can come any more."""
    await engine.sweep()
    return not folder.dead_runners(root / "sandboxes") and _names(root) == left


async def test_what_a_live_runner_could_not_remove_is_swept_by_itself(engine: base.Engine, tmp_path: Path) -> None:
    sandbox = await engine.start(base.Spec(runtime="python3"))
    assert await engine.sweep() == 0
    client = docker.APIClient()
    name = f"faas-{sandbox.id}"
    details = client.inspect_container(name)
    await sandbox.close()
    # As when the engine carries out a call that its client has given up.
    late = client.create_container(
        details["Image"], name=name, command=["sleep", "60"], labels=details["Config"]["Labels"]
    )
    (tmp_path / "sandboxes" / sandbox.id).mkdir()
    assert await engine.sweep() == 1
    with pytest.raises(docker.errors.NotFound):
        client.inspect_container(late["Id"])
    client.close()
    assert _names(tmp_path) == set()


async def test_what_a_dead_runner_left_frozen_is_removed_soon_and_its_user_is_free(
    engine: base.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "left_behind_runner.py"),
        "docker",
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert other.stdout is not None
    theirs = (await other.stdout.readline()).decode().strip()
    client = docker.APIClient()
    group = cgroups.group(client.inspect_container(f"faas-{theirs}")["State"]["Pid"], "freezer")
    assert group is not None
    freezing.Freezer(group, lambda: None).freeze()
    other.kill()
    await other.wait()
    assert len(list((tmp_path / "uids").iterdir())) == 1, "it may still run"
    state, remove, states = freezing.switch(group).file, container.remove, []

    def seen(of: docker.APIClient, name: str) -> None:
        states.append(state.read_bytes().strip())
        remove(of, name)

    # Some engines thaw what they kill, others do not; the kernel kills nobody who is frozen.
    monkeypatch.setattr(container, "remove", seen)
    begun = clock.steady_s()
    assert await engine.sweep() == 1
    assert clock.steady_s() - begun < 5
    assert states in ([b"THAWED"], [b"0"])
    with pytest.raises(docker.errors.NotFound):
        client.inspect_container(f"faas-{theirs}")
    client.close()
    assert list((tmp_path / "uids").iterdir()) == []


async def test_a_user_is_its_sandboxes_until_that_has_gone_and_free_right_after(
    engine: base.Engine, tmp_path: Path
) -> None:
    mine = await engine.start(base.Spec(runtime="python3"))
    held = list((tmp_path / "uids").iterdir())
    assert len(held) == 1
    await engine.sweep()
    assert list((tmp_path / "uids").iterdir()) == held
    await mine.close()
    await eventually(lambda: list((tmp_path / "uids").iterdir()) == [], within=30)


def _freezer_of(client: docker.APIClient, sandbox: str) -> Path:
    found = cgroups.group(client.inspect_container(f"faas-{sandbox}")["State"]["Pid"], "freezer")
    assert found is not None
    return found


async def test_a_frozen_sandbox_is_thawed_before_it_is_killed(engine: base.Engine) -> None:
    mine = await engine.start(base.Spec(runtime="python3"))
    client = docker.APIClient()
    state = freezing.switch(_freezer_of(client, mine.id))
    freezing.Freezer(state.file.parent, lambda: None).freeze()
    await eventually(lambda: state.file.read_bytes().strip() in (b"FROZEN", b"1"))
    place: Any = mine._place  # type: ignore[attr-defined]
    place._freezer.is_frozen = True
    place.kill()
    await eventually(lambda: not client.inspect_container(f"faas-{mine.id}")["State"]["Running"], within=20)
    await mine.close()
    client.close()


async def test_starts_that_are_given_up_at_any_moment_keep_no_user_and_no_folder(
    engine: base.Engine, tmp_path: Path
) -> None:
    rolls = random.Random(2)
    starts = [asyncio.ensure_future(engine.start(base.Spec(runtime="python3"))) for _ in range(6)]
    for start in starts:
        await asyncio.sleep(rolls.random() / 10)
        start.cancel()
    await asyncio.gather(*starts, return_exceptions=True)
    await eventually(lambda: _nothing_left(engine, tmp_path), within=60)


async def _nothing_left(engine: base.Engine, root: Path) -> bool:
    await engine.sweep()
    return _names(root) == set() and list((root / "uids").iterdir()) == []


@pytest.mark.parametrize(
    "sandbox", ["../../victim", "/victim", "", "..", "000000000000-1/../../../victim", "000000000000-1", None]
)
async def test_a_container_that_only_has_our_labels_is_left_alone_and_names_no_folder(
    engine: base.Engine, tmp_path: Path, sandbox: str | None
) -> None:
    """Labels are anybody's words: an image passes its own on to every container that is made of it."""
    victim = tmp_path / "victim"
    victim.mkdir()
    mine = await engine.start(base.Spec(runtime="python3"))
    client = docker.APIClient()
    details = client.inspect_container(f"faas-{mine.id}")
    await mine.close()
    labels = dict(details["Config"]["Labels"])
    del labels[making.LABEL_SANDBOX]
    if sandbox is not None:
        labels[making.LABEL_SANDBOX] = sandbox
    stranger = client.create_container(details["Image"], command=["sleep", "60"], labels=labels)
    try:
        assert await engine.sweep() == 0
        assert client.inspect_container(stranger["Id"])
        assert victim.is_dir()
    finally:
        client.remove_container(stranger["Id"], force=True)
        client.close()


@pytest.mark.parametrize("sandbox", ["../victim", "/", "", ".", "000000000000-1\n", "000000000000-1/..", "x" * 5_000])
def test_what_is_no_id_of_a_sandbox_has_no_folder(tmp_path: Path, sandbox: str) -> None:
    folders = folder.SandboxFolders(tmp_path / "sandboxes")
    with pytest.raises(ValueError, match="no id of a sandbox"):
        folders.folder(sandbox)
    folders.close()


def test_those_who_ask_at_once_for_the_id_of_a_data_directory_get_one(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("../../etc")
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        found = set(threads.map(lambda _: folder.identity(tmp_path), range(64)))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["id"]


async def test_sweeps_that_meet_do_not_hinder_one_another(engine: base.Engine, tmp_path: Path) -> None:
    other = await _open(tmp_path)
    await _killed_while_it_starts(tmp_path, 3, 0)
    for _ in range(3):
        await asyncio.gather(engine.sweep(), other.sweep(), engine.sweep(), other.sweep())
    await eventually(lambda: _swept(engine, tmp_path, set()), within=60)
    await other.close()


def _function(number: int) -> dict[str, Any]:
    route = {"http": {"path": f"/by-name/{number}", "methods": ["PUT"]}}
    return {"runtime": "python3", "handler": "app.handler", "memory": "64MB", "triggers": [route]}


def _is_another(platform: platforms.Platform, name: str, killed: int) -> bool:
    return platform.processes()[name] != killed


def _counted(platform: platforms.Platform) -> int:
    """How many sandboxes the living nodes have, by what they say."""
    return sum(count for node in platform.json("status")["nodes"] for count in node["sandboxes"].values())


def test_a_platform_whose_nodes_are_killed_again_and_again_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = {"heartbeat_ms": "200", "lease_ms": "1000", "stock_none": "3", "memory_mb": "1024"}
    with platforms.running(data, "--engine", "docker", "--nodes", "2", **settings) as platform:
        project = Path(shutil.copytree(ECHO, tmp_path / "project"))
        platform.deploy(project, {"functions": {f"f{n}": _function(n) for n in range(3)}})
        for turn in range(6):
            for n in range(3):
                assert platform.faas("invoke", f"f{n}", "--async", "--data", "1").returncode == 0
            name = f"node{'-2' if turn % 2 else ''}"
            killed = platform.processes()[name]
            os.kill(killed, signal.SIGKILL)
            eventually_sync(partial(_is_another, platform, name, killed), within=60)
        eventually_sync(platform.conserved, within=120)
        eventually_sync(lambda: len(_names(data)) == _counted(platform), within=60)
        eventually_sync(lambda: not folder.dead_runners(data / "sandboxes"), within=60)
        for name in ("node", "node-2"):  # nobody is left who would sweep but `faas up`
            os.kill(platform.processes()[name], signal.SIGKILL)
        assert platform.faas("down").returncode == 0
        assert _names(data) == set()
        assert not folder.dead_runners(data / "sandboxes")
