"""The process tree with small children of the test's own: started, restarted, and ended in their order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from faas.cli import child, platform_dir, platform_logs, ports, supervisor
from faas.core import errors
from faas.core.processes import living
from faas.valkey import embedded
from tests.eventually import eventually

_SERVES = """
import os, signal, sys
def end(*_):
    print("ended", flush=True)
    with open(sys.argv[1], "a") as order:
        order.write(sys.argv[2])
    os._exit(0)
signal.signal(signal.SIGTERM, end)
os.write(int(sys.argv[-1]), b'{"pid": %d}\\n' % os.getpid())
while True: signal.pause()
"""
_IGNORES = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(sys.argv[-1]), b'{}\\n')
while True: signal.pause()
"""
_FAILS = "import sys; print('faas: no engine here', file=sys.stderr); sys.exit(9)"

MakeTree = Callable[..., supervisor.Supervisor]


def _spec(name: str, code: str, *arguments: str, phase: int = 0) -> child.ChildSpec:
    command = [sys.executable, "-c", code, *arguments]
    return child.ChildSpec(name=name, command=command, environ={"PATH": "/usr/bin"}, phase=phase)


def _alive(pid: int | None) -> bool:
    return pid is not None and living.started_at(pid) is not None


@pytest.fixture
async def make_tree(tmp_path: Path) -> AsyncIterator[MakeTree]:
    trees: list[supervisor.Supervisor] = []

    def make(server: embedded.EmbeddedServer | None = None, grace_s: float = 0.0) -> supervisor.Supervisor:
        trees.append(supervisor.Supervisor(server, tmp_path, grace_s=grace_s, say=lambda _: None))
        return trees[-1]

    yield make
    for tree in trees:
        tree.kill()
        await tree.stop()


async def test_children_end_phase_by_phase(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = make_tree()
    order = str(tmp_path / "order")
    await tree.start([_spec(n, _SERVES, order, n, phase=int(n)) for n in ("2", "0", "1")])
    pids = [row["pid"] for row in tree.report()]
    await tree.stop()
    assert Path(order).read_text() == "012"
    assert not any(_alive(pid) for pid in pids)
    assert (tmp_path / "0.log").read_text() == "ended\n"


async def test_a_killed_child_is_started_again(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = make_tree()
    await tree.start([_spec("one", _SERVES, str(tmp_path / "order"), "1")])
    first = tree.report()[0]["pid"]
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: tree.report()[0]["restarts"] == 1 and _alive(tree.report()[0]["pid"]))
    assert tree.report()[0]["pid"] != first


async def test_a_child_that_fails_at_the_start_is_told_in_its_own_words(make_tree: MakeTree, tmp_path: Path) -> None:
    tree = make_tree()
    with pytest.raises(errors.Unavailable, match="bad did not start: no engine here"):
        await tree.start([_spec("good", _SERVES, str(tmp_path / "order"), "1"), _spec("bad", _FAILS)])


async def test_a_command_that_does_not_exist_is_named(make_tree: MakeTree) -> None:
    spec = child.ChildSpec(name="odd", command=["/nowhere/at-all"], environ={}, phase=0)
    with pytest.raises(errors.Unavailable, match="odd did not start: /nowhere/at-all: No such file"):
        await make_tree().start([spec])


async def test_a_child_that_ignores_its_end_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    stubborn = child.Child(_spec("stubborn", _IGNORES), tmp_path)
    await stubborn.start()
    pid = stubborn.pid
    await stubborn.stop(within_s=0.2)
    assert not _alive(pid)


async def test_a_killed_server_comes_back_under_its_url_with_what_it_held(make_tree: MakeTree, tmp_path: Path) -> None:
    server = embedded.EmbeddedServer(tmp_path / "redis")
    tree = make_tree(server)
    url = await tree.start_server()
    assert url is not None
    async with redis.asyncio.from_url(url) as client:
        await client.set("key", "kept")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)

    async def held() -> bool:
        try:
            async with redis.asyncio.from_url(url) as client:
                return bool(await client.get("key") == b"kept")
        except redis.exceptions.RedisError:
            return False

    await eventually(held, within=10)
    await eventually(lambda: tree.report()[0]["restarts"] == 1)


def test_the_delay_between_starts_doubles_up_to_its_bound() -> None:
    assert [child.delay_s(n) for n in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert child.delay_s(50) == 5.0


def test_what_served_for_a_while_is_not_counted_among_those_that_die_at_once() -> None:
    assert child.deaths_in_a_row(7, lived_s=1.0) == 8
    assert child.deaths_in_a_row(7, lived_s=11.0) == 1


def test_a_log_that_grows_large_is_set_aside_while_its_process_writes(tmp_path: Path) -> None:
    log, small = tmp_path / "node.log", tmp_path / "api.log"
    small.write_bytes(b"x" * 1_000)
    with log.open("ab", buffering=0) as writer:
        for number in range(3):
            writer.write(b"%d" % number * 1_001)
            platform_logs.look([tmp_path, tmp_path / "none"], 1_000)
            assert (log.stat().st_size, (tmp_path / "node.log.1").read_bytes()) == (0, b"%d" % number * 1_001)
        writer.write(b"goes on")
    assert log.read_bytes() == b"goes on"
    assert small.stat().st_size == 1_000


def test_a_log_that_cannot_be_set_aside_is_emptied_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "node.log").write_bytes(b"x" * 1_001)
    (tmp_path / "node.log.1").mkdir()  # nobody can write there, as on a full disk
    platform_logs.look([tmp_path], 1_000)
    assert (tmp_path / "node.log").stat().st_size == 0


def test_a_port_in_use_is_named_with_the_flag() -> None:
    with ports.reserve("127.0.0.1", 0, "--port") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.Conflict, match=f"port {port} of 127.0.0.1 is in use") as caught:
            ports.reserve("127.0.0.1", port, "--port")
    assert "--port" in caught.value.hint


def test_a_reserved_port_can_be_shared_by_the_platforms_own_listeners() -> None:
    import socket

    with ports.reserve("127.0.0.1", 0, "--port") as reserved, socket.socket() as one, socket.socket() as two:
        for listener in (one, two):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(reserved.getsockname())
            listener.listen()


def test_closed_connections_of_a_platform_that_was_killed_do_not_keep_its_port() -> None:
    import socket

    with socket.socket() as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        client.connect(listener.getsockname())
        listener.accept()[0].close()
    with ports.reserve("127.0.0.1", port, "--port") as reserved:
        assert reserved.getsockname()[1] == port


def test_a_data_directory_belongs_to_one_platform_at_a_time(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert platform_dir.running(tmp_path) == platform_dir.Owner(holder.pid, living.started_at(holder.pid) or -1)
        with pytest.raises(errors.Conflict, match=f"process {holder.pid}"), platform_dir.held(tmp_path):
            pass
        holder.kill()
    assert platform_dir.running(tmp_path) is None
    with platform_dir.held(tmp_path):
        pass


_HOLDS = """
import sys, pathlib
from faas.cli import platform_dir
with platform_dir.held(pathlib.Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


def test_the_token_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    path = platform_dir.token(tmp_path)
    said = path.read_text()
    assert len(said.strip()) >= 40
    path.chmod(0o644)
    assert platform_dir.token(tmp_path).read_text() == said
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_published_can_be_read_and_withdrawn(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"gateway": "http://127.0.0.1:1", "pid": 1}
    platform_dir.publish(tmp_path, facts)
    assert platform_dir.published(tmp_path) == facts
    platform_dir.withdraw(tmp_path)
    assert platform_dir.published(tmp_path) is None
