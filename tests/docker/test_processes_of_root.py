"""Functions as processes of a platform that runs as root: each is another user, and none is root or the platform."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas import artifacts
from faas.cli import languages
from faas.core import ids, model
from faas.core import settings as settings_module
from runners.engines import choose, uids
from runners.engines.process import dropped, readable_python
from runners.sandbox import base
from tests import attempts
from tests.eventually import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="who is not root cannot become another user")

CODE = """
import glob, os, signal, subprocess, sys, time

def tries(what):
    try:
        return repr(what())[:200]
    except BaseException as error:
        return type(error).__name__

def who(event, context):
    return [os.getresuid(), os.getresgid(), os.getgroups(), os.environ["HOME"], oct(os.umask(0o022))]

def reads(event, context):
    return {path: tries(lambda: open(path, "rb").read()) for path in event}

def lists(event, context):
    return {path: tries(lambda: os.listdir(path)) for path in event}

def writes(event, context):
    return {path: tries(lambda: open(path, "ab")) for path in event}

def signals(event, context):
    return {str(pid): tries(lambda: os.kill(pid, 0)) for pid in event}

def rises(event, context):
    return [tries(lambda: os.setuid(0)), tries(lambda: os.setgid(0)), tries(lambda: os.chown("/", 0, 0)),
            tries(lambda: os.setgroups([0]))]

def memory_of(event, context):
    return [tries(lambda: open(f"/proc/{event}/{name}", "rb").read(1)) for name in ("mem", "environ")]

def its_own(event, context):
    path = os.path.join(os.environ["TMPDIR"], "mine")
    open(path, "w").write("private")
    return [path, __file__, os.getpid()]

def leaves(event, context):
    for _ in range(5):
        # Out of the session, without the mark in its environment.
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={}, start_new_session=True)
    time.sleep(0.5)
    return os.getuid()

def bombs(event, context):
    started = 0
    try:
        while started < 10000:
            if os.fork() == 0:
                time.sleep(600)
            started += 1
    except OSError:
        pass
    return started
"""


class Bench:
    """An engine of processes, with what was started on it."""

    def __init__(self, engine: base.Engine, code: Path, limits: settings_module.Settings) -> None:
        self.engine = engine
        self.limits = limits
        self._code = code
        self.started: list[base.Sandbox] = []

    async def sandbox(self, handler: str) -> base.Sandbox:
        made = await self.engine.start(base.Spec(runtime="python3"))
        self.started.append(made)
        config = model.FunctionConfig(runtime="python3", handler=f"app.{handler}", timeout_ms=20_000)
        digest, _ = artifacts.Artifacts(self.limits.data.root).pack(self._code)
        revision = model.Revision(function="f", number=1, artifact=digest, config=config, created_at_ms=0)
        loaded = await made.load(revision)
        assert loaded.error is None, loaded
        return made

    async def run(self, handler: str, event: object = None, sandbox: base.Sandbox | None = None) -> Any:
        ran = await attempts.begun(sandbox or await self.sandbox(handler), invocation(event))
        assert ran.error is None, ran
        return json.loads(ran.body)


def invocation(event: object) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(), function="f", revision=1, trigger="invoke", mode=model.Mode.SYNC,
        event=msgspec.json.encode(event), accepted_at_ms=1_700_000_000_000,
    )  # fmt: skip


@pytest.fixture
def limits(tmp_path: Path) -> settings_module.Settings:
    return settings_module.of(data_dir=str(tmp_path / "data"), engine="process", max_pids=40)


@pytest.fixture
async def bench(limits: settings_module.Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(CODE)
    (code / "app.py").chmod(0o444)
    made = Bench(
        await choose.choose(
            limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
        ),
        code,
        limits,
    )
    (limits.data.root / "token").write_text("the-token")
    yield made
    for sandbox in made.started:
        await sandbox.close()
    await made.engine.close()


async def test_each_sandbox_is_a_user_of_its_own_who_is_not_root(bench: Bench) -> None:
    first, second = await bench.run("who"), await bench.run("who")
    given = uids.parse(uids.ON_THE_HOST)
    for users, groups, others, _home, umask in (first, second):
        assert len(set(users)) == len(set(groups)) == 1
        assert users[0] in given
        assert (others, umask) == ([], "0o22")
    assert first[0] != second[0]


async def test_it_cannot_read_the_token_nor_anything_of_the_data_directory_nor_what_is_roots(bench: Bench) -> None:
    root = bench.limits.data.root
    files = [
        str(root / "token"),
        str(root / "sandboxes" / "id"),
        "/etc/shadow",
        "/proc/1/environ",
        f"/proc/{os.getpid()}/environ",
    ]
    assert set((await bench.run("reads", files)).values()) == {"PermissionError"}
    listed = await bench.run("lists", [str(root), str(root / "sandboxes"), "/root", str(dropped_home(bench))])
    assert set(listed.values()) == {"PermissionError"}


async def test_it_cannot_write_its_code_nor_the_agent_nor_the_platform(bench: Bench) -> None:
    path, code, _pid = await bench.run("its_own")
    agents = [str(each) for each in dropped_home(bench).glob("agent-*/**/*.py")]
    tried = await bench.run(
        "writes", [code, f"{code}c", str(Path(code).parent / "new"), *agents[:3], path, "/etc/passwd"]
    )
    assert set(tried.values()) == {"PermissionError"}


async def test_it_cannot_read_what_another_sandbox_has(bench: Bench) -> None:
    path, code, pid = await bench.run("its_own")
    assert Path(path).read_text() == "private"
    assert set((await bench.run("reads", [path, code])).values()) == {"PermissionError"}
    assert await bench.run("memory_of", pid) == ["PermissionError", "PermissionError"]


async def test_it_cannot_signal_the_platform_nor_another_sandbox_nor_become_root(bench: Bench) -> None:
    _path, _code, pid = await bench.run("its_own")
    assert set((await bench.run("signals", [os.getpid(), os.getppid(), 1, pid])).values()) == {"PermissionError"}
    assert set(await bench.run("rises")) == {"PermissionError"}


async def test_what_left_the_session_and_hides_its_mark_ends_with_the_sandbox(bench: Bench) -> None:
    sandbox = await bench.sandbox("leaves")
    user = await bench.run("leaves", sandbox=sandbox)
    assert len(processes_of(user)) >= 6
    await sandbox.close()
    await eventually(lambda: not processes_of(user))
    assert [link.name for link in (bench.limits.data.root / "uids").iterdir()] == []


async def test_a_fork_bomb_stops_at_the_limit_of_processes_and_ends_with_its_sandbox(bench: Bench) -> None:
    sandbox = await bench.sandbox("bombs")
    assert 10 < await bench.run("bombs", sandbox=sandbox) < bench.limits.sandboxes.max_pids
    (user,) = [int(link.name) for link in (bench.limits.data.root / "uids").iterdir()]
    assert len(processes_of(user)) > 10
    await sandbox.close()
    await eventually(lambda: not processes_of(user))


async def test_the_engine_leaves_nothing_behind(limits: settings_module.Settings) -> None:
    engine = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    sandbox = await engine.start(base.Spec(runtime="python3"))
    home = dropped_home_of(limits)
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    await sandbox.close()
    await engine.close()
    assert not home.exists()
    assert list((limits.data.root / "uids").iterdir()) == []


async def test_what_a_killed_node_left_is_swept_by_the_next_one(limits: settings_module.Settings) -> None:
    program = (
        "import asyncio, os, sys, msgspec\n"
        "from faas.core import settings\n"
        "from faas.cli import languages\n"
        "from runners.engines import choose; from runners.sandbox import base\n"
        "async def main():\n"
        "    limits = msgspec.json.decode(sys.argv[1], type=settings.Settings)\n"
        "    known = languages.known('')\n"
        "    engine = await choose.choose(limits.data.root, limits.sandboxes, lambda name: None, known)\n"
        "    await engine.start(base.Spec(runtime='python3'))\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, msgspec.json.encode(limits).decode()]
    await asyncio.to_thread(subprocess.run, command, check=False, cwd=Path(__file__).parents[2])
    assert len(list((limits.data.root / "uids").iterdir())) == 1
    engine = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    await engine.sweep()
    assert list((limits.data.root / "uids").iterdir()) == []
    await engine.close()
    assert not dropped_home_of(limits).exists()


async def test_a_user_whose_sandbox_never_had_a_folder_is_taken_back(limits: settings_module.Settings) -> None:
    engine = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    sandbox = await engine.start(base.Spec(runtime="python3"))
    (held,) = [path.name for path in (limits.data.root / "uids").iterdir()]
    (limits.data.root / "uids" / "2000000001").symlink_to("0123456789ab-1")  # of a runner that died just then
    (limits.data.root / "uids" / "2000000002").symlink_to("../../somewhere")
    await engine.sweep()
    assert sorted(path.name for path in (limits.data.root / "uids").iterdir()) == sorted([held, "2000000002"])
    await sandbox.close()
    await engine.close()


async def test_a_place_that_somebody_else_has_made_is_refused(limits: settings_module.Settings) -> None:
    home = dropped_home_of(limits)
    home.mkdir()
    os.chown(home, 65534, 65534)
    try:
        with pytest.raises(base.EngineUnavailable, match="not root's alone"):
            await choose.choose(
                limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
            )
    finally:
        home.rmdir()
    with tempfile.TemporaryDirectory() as elsewhere:
        home.symlink_to(elsewhere)
        try:
            with pytest.raises(base.EngineUnavailable, match="cannot be made"):
                await choose.choose(
                    limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
                )
        finally:
            home.unlink()


@pytest.mark.parametrize("users", ["0-65535", "1-10", "65000-66000"])
async def test_users_that_somebody_has_are_refused(users: str, limits: settings_module.Settings) -> None:
    chosen = settings_module.changed(limits, sandbox_uids=users)
    with pytest.raises(base.EngineUnavailable, match="sandbox_uids"):
        await choose.choose(
            chosen.data.root, chosen.sandboxes, lambda _name: None, languages.known(chosen.sandboxes.base_image)
        )


def test_a_python_that_lies_in_a_closed_folder_is_linked_to_where_others_may_read_it(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as cache:
        Path(cache).chmod(0o755)
        found = readable_python._linked(Path(cache))
        assert readable_python._fault(found, 2_000_000_000) == ""
        assert readable_python._linked(Path(cache)) == found
        assert not list(Path(cache).rglob("site-packages"))
    closed = readable_python.Interpreter(str(tmp_path / "python"))
    (tmp_path / "python").symlink_to(found.path)
    assert readable_python._fault(closed, 2_000_000_000) != ""


@pytest.mark.parametrize(
    ("uid_map", "usual"),
    [
        ("         0          0 4294967295\n", uids.ON_THE_HOST),
        ("         0     100000      65536\n", uids.REMAPPED),
        ("0 1000 1\n1 100000 65536\n", uids.REMAPPED),
        ("", uids.REMAPPED),
    ],
)
def test_a_user_namespace_without_the_hosts_users_has_a_range_of_its_own(uid_map: str, usual: str) -> None:
    assert dropped._usual(uid_map) == usual


def dropped_home(bench: Bench) -> Path:
    return dropped_home_of(bench.limits)


def dropped_home_of(limits: settings_module.Settings) -> Path:
    from runners.engines import folder

    return Path("/var/tmp") / f"faas-{folder.identity(limits.data.root / 'sandboxes')}"


def processes_of(user: int) -> list[str]:
    return [entry.name for entry in os.scandir("/proc") if entry.name.isdecimal() and user_of(entry) == user]


def user_of(entry: os.DirEntry[str]) -> int:
    try:
        return -1 if b") Z " in Path(entry.path, "stat").read_bytes() else entry.stat(follow_symlinks=False).st_uid
    except OSError:
        return -1
