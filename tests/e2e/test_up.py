"""`faas up` as a person runs it: real processes, real signals, real output. Sandboxes are processes, for speed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faas.cli import platform_dir
from faas.core.processes import living
from tests.eventually import eventually_sync

_UP = ("up", "--port", "0", "--engine", "process", "--json")

Faas = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def faas(data: Path) -> Iterator[Faas]:
    """Runs the command line on this test's data directory; what still runs at the end is ended."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(_command(data, *arguments), capture_output=True, text=True, check=False, timeout=120)

    yield run
    owner = platform_dir.running(data) if data.is_dir() else None
    if owner is not None:
        os.kill(owner.pid, signal.SIGKILL)
        eventually_sync(lambda: platform_dir.running(data) is None, within=30)


def _command(data: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "faas.cli.main", "--data-dir", str(data), *arguments]


def _up(faas: Faas, *arguments: str) -> dict[str, Any]:
    done = faas(*_UP, "--detach", *arguments)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def _processes(data: Path) -> dict[str, int]:
    facts = platform_dir.published(data) or {}
    return {row["name"]: row["pid"] for row in facts.get("processes", ())}


def _gone(pid: int) -> bool:
    return living.started_at(pid) is None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_detach_returns_when_everything_answers_and_down_ends_everything(faas: Faas, data: Path) -> None:
    facts = _up(faas)
    assert set(facts) == {"gateway", "api", "token_file"}
    assert _answers(f"{facts['gateway']}/healthz")
    assert _answers(f"{facts['api']}/healthz")
    assert Path(facts["token_file"]).stat().st_mode & 0o777 == 0o600
    pids = _processes(data)
    assert set(pids) == {"redis", "node", "scheduler", "recorder", "api", "builder"}
    assert faas("down").returncode == 0
    assert all(_gone(pid) for pid in pids.values())
    assert platform_dir.published(data) is None
    assert b"bye bye" in (data / "redis" / "redis.log").read_bytes()


def test_everything_dies_with_a_killed_supervisor_and_can_be_started_again(faas: Faas, data: Path) -> None:
    _up(faas)
    owner = platform_dir.running(data)
    assert owner is not None
    pids = _processes(data)
    os.kill(owner.pid, signal.SIGKILL)
    eventually_sync(lambda: all(_gone(pid) for pid in pids.values()), within=10)
    _up(faas)


@pytest.mark.parametrize("name", ["redis", "node", "scheduler", "recorder", "api", "builder"])
def test_a_killed_process_is_started_again_on_its_port(faas: Faas, data: Path, name: str) -> None:
    facts = _up(faas)
    old = _processes(data)[name]
    os.kill(old, signal.SIGKILL)
    eventually_sync(lambda: _processes(data)[name] not in (old, None), within=30)
    eventually_sync(lambda: _answers(f"{facts['gateway']}/healthz"), within=30)
    eventually_sync(lambda: _answers(f"{facts['api']}/healthz"), within=30)
    eventually_sync(lambda: faas("doctor", "--json").returncode == 0, within=30)


def test_a_second_up_on_one_data_directory_is_refused_in_one_line(faas: Faas, data: Path) -> None:
    _up(faas)
    owner = platform_dir.running(data)
    assert owner is not None
    for more in ((), ("--detach",)):
        done = faas("up", "--port", "0", *more)
        assert done.returncode == 5
        assert done.stdout == ""
        assert f"a platform runs on {data} already (process {owner.pid})" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--port", "--api-port"])
def test_a_port_in_use_is_one_line_that_names_the_flag(faas: Faas, data: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": "0", "--api-port": "0", flag: str(port)}
        done = faas("up", "--json", *(word for pair in ports.items() for word in pair))
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert (done.returncode, error["message"]) == (5, f"port {port} of 127.0.0.1 is in use")
    assert flag in error["hint"]


def test_a_data_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        _command(tmp_path / "file" / "data", "up"), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 9
    assert done.stderr.startswith(f"faas: the data directory {tmp_path}/file/data cannot be written: Not a directory\n")


def test_in_the_foreground_it_prints_where_it_is_and_ends_on_ctrl_c(faas: Faas, data: Path) -> None:
    with subprocess.Popen(_command(data, *_UP), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as up:
        assert up.stdout is not None
        facts = json.loads(up.stdout.readline())
        pids = _processes(data)
        assert _answers(f"{facts['gateway']}/healthz")
        up.send_signal(signal.SIGINT)
        assert up.wait(60) == 0
    assert all(_gone(pid) for pid in pids.values())


def test_two_nodes_share_one_port(faas: Faas, data: Path) -> None:
    facts = _up(faas, "--nodes", "2")
    assert {"node", "node-2"} < set(_processes(data))
    os.kill(_processes(data)["node"], signal.SIGKILL)
    eventually_sync(lambda: _answers(f"{facts['gateway']}/healthz"), within=10)


def test_a_redis_of_ones_own_is_used_instead_of_the_embedded_one(data: Path, redis_url: str, prefix: str) -> None:
    environ = {**os.environ, "FAAS_REDIS_URL": redis_url, "FAAS_REDIS_PREFIX": prefix}
    with subprocess.Popen(_command(data, *_UP), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as up:
        assert up.stdout is not None
        up.stdout.readline()
        assert "redis" not in _processes(data)
        assert not (data / "redis").exists()
        up.terminate()
        assert up.wait(60) == 0


def test_in_the_foreground_attempts_and_lines_are_printed_as_they_come(faas: Faas, data: Path, tmp_path: Path) -> None:
    command = _command(data, "up", "--port", "0", "--engine", "process")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as up:
        assert up.stdout is not None
        told = [up.stdout.readline() for _ in range(4)]
        assert [line.split()[0] for line in told] == ["gateway", "api", "token", "page"]
        faas("init", str(tmp_path / "hello"))
        assert faas("deploy", str(tmp_path / "hello")).returncode == 0
        assert faas("invoke", "hello", "--data", '{"name": "Ada"}').returncode == 0
        lines = [up.stdout.readline().split(None, 1)[1] for _ in range(2)]
        up.send_signal(signal.SIGINT)
        rest = up.stdout.read()
    assert any(line == "hello@1 | greeting Ada\n" for line in lines), lines
    assert any(line.startswith("hello@1 invoke ok ") for line in lines), lines
    assert (up.returncode, rest) == (0, "")


def test_the_control_apis_port_is_the_same_each_time_and_gives_way_where_it_is_taken(faas: Faas) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8081))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        assert not _up(faas)["api"].endswith(":8081")
