"""The agent as a real process, spoken to over its protocol."""

from __future__ import annotations

import ast
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_harness import AGENT, FUNCTIONS, Agent, invoke_header, started_agent


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.txt").write_text("content of a")
    with started_agent({"photos": photos}) as agent:
        yield agent


def test_the_agent_says_who_it_is_and_nothing_of_it_is_printed(agent: Agent) -> None:
    assert agent.ready == {
        "t": "ready",
        "pid": agent.process.pid,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "objects": ["descriptor", "stream"],
    }
    frame = agent.load(FUNCTIONS / "echo")
    assert (frame.kind, frame.output) == ("loaded", "")
    assert frame.header["init_us"] > 0
    assert 5_000 < frame.header["mem_kb"] < 200_000


def test_the_agents_source_is_python_3_9_and_of_the_standard_library_alone() -> None:
    for path in AGENT.rglob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 9))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names, path


def test_the_agent_ends_when_the_socket_closes(agent: Agent) -> None:
    agent.load(FUNCTIONS / "echo")
    assert agent.close() == 0


def test_the_agent_ends_when_the_socket_closes_before_a_load(agent: Agent) -> None:
    assert agent.close() == 0


def test_the_agent_ends_although_a_thread_of_the_users_goes_on(agent: Agent) -> None:
    agent.load(FUNCTIONS / "outlives")
    agent.invoke("thread")
    assert agent.close() == 0


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 64, struct.pack(">II", 3, 0) + b"{no", struct.pack(">II", 13, 0) + b'{"t":"dance"}']
)
def test_the_agent_ends_when_it_cannot_understand_the_runner(agent: Agent, garbage: bytes) -> None:
    agent.load(FUNCTIONS / "echo")
    agent.sock.sendall(garbage)
    assert agent.wait() in (0, 70)


def test_large_and_small_events_follow_one_another(agent: Agent) -> None:
    agent.load(FUNCTIONS / "echo")
    for size in (1, 3_000_000, 10, 65_536, 65_520, 200_000, 0):
        assert agent.invoke("ü" * size).result == "ü" * size


def test_a_signal_in_the_midst_of_a_large_result_does_not_tear_it(agent: Agent) -> None:
    agent.load(FUNCTIONS / "echo")
    agent.send_invoke("x" * 6_000_000)
    assert agent.sock.recv(1, socket.MSG_PEEK)
    agent.process.send_signal(signal.SIGINT)
    assert agent.next_frame().result == "x" * 6_000_000


def test_an_event_that_arrives_byte_by_byte_is_read(agent: Agent) -> None:
    agent.load(FUNCTIONS / "echo")
    header = invoke_header("x")
    for byte in struct.pack(">II", len(header), 4) + header + b"null":
        agent.sock.send(bytes([byte]))
    assert agent.next_frame().result is None


def test_the_duration_is_the_handlers_own(agent: Agent) -> None:
    agent.load(FUNCTIONS / "slow")
    frame = agent.invoke(0.05)
    assert frame.header["us"] >= 50_000
    assert frame.result <= 30_000 - 50


def test_the_peak_of_memory_is_measured(agent: Agent) -> None:
    agent.load(FUNCTIONS / "oom")
    assert agent.invoke(1).header["mem_kb"] < 100_000
    assert agent.invoke(200).header["mem_kb"] > 200_000


def test_the_peak_of_memory_is_not_that_of_the_process_that_started_the_agent() -> None:
    script = (
        "import sys; held = b'x' * (300 << 20); sys.path.insert(0, sys.argv[1])\n"
        "from tests.agent_harness import *\n"
        "with started_agent() as agent:\n"
        "    agent.load(FUNCTIONS / 'oom')\n"
        "    print(*[agent.invoke(mib).header['mem_kb'] for mib in (1, 100, 1)])\n"
    )
    root = str(FUNCTIONS.parent.parent)
    shown = subprocess.run([sys.executable, "-c", script, root], capture_output=True, text=True, check=True)
    small, large, later = map(int, shown.stdout.split())
    assert small < 100_000
    assert small + 90_000 < large == later < 250_000


def test_output_without_measure_slows_a_handler_and_does_not_block_it(agent: Agent) -> None:
    agent.load(FUNCTIONS / "prints_a_lot")
    frame = agent.invoke(32)
    assert frame.result == 32
    assert len(frame.output) == (32 << 20) + len("the end\n")


def test_a_handler_cannot_write_a_file_over_the_limit(agent: Agent, tmp_path: Path) -> None:
    thumbs = tmp_path / "thumbs"
    thumbs.mkdir()
    agent.buckets["thumbs"] = thumbs
    agent.load(FUNCTIONS / "buckets", buckets={"thumbs": "write"}, limits={"file_bytes": 1 << 20})
    frame = agent.invoke("too_large")
    assert frame.error["type"] == "OSError"
    assert "File too large" in frame.error["message"]
    assert list(thumbs.iterdir()) == []


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_handler_that_kills_its_process_closes_the_socket_and_keeps_what_was_printed(agent: Agent, name: str) -> None:
    agent.load(FUNCTIONS / "crash")
    agent.send_invoke(name)
    with pytest.raises(EOFError):
        agent.next_frame()
    assert agent.printed() == "before the end\n"
    assert agent.wait() == -getattr(signal, name)


def test_sigint_is_no_exception_in_the_handler(agent: Agent) -> None:
    agent.load(FUNCTIONS / "crash")
    assert agent.invoke("SIGINT").result == "survived"
    assert agent.invoke("SIGINT").result == "survived"


def test_sigterm_lets_the_attempt_end_and_then_ends_the_agent(agent: Agent) -> None:
    agent.load(FUNCTIONS / "crash")
    assert agent.invoke("SIGTERM").result == "survived"
    assert agent.wait() == 0


def test_sigterm_ends_an_idle_agent(agent: Agent) -> None:
    agent.load(FUNCTIONS / "echo")
    agent.invoke()
    agent.process.terminate()
    assert agent.wait() == 0


def test_a_handler_that_closes_the_agents_socket_ends_its_own_sandbox_only(agent: Agent) -> None:
    agent.load(FUNCTIONS / "closes_socket")
    assert agent.invoke("stay").result == "stayed"
    agent.send_invoke()
    with pytest.raises(EOFError):
        agent.next_frame()
    agent.wait()


def test_garbage_on_the_agents_socket_reaches_the_runner_as_no_frame(agent: Agent) -> None:
    agent.load(FUNCTIONS / "writes_garbage")
    agent.send_invoke()
    with pytest.raises(AssertionError):
        agent.next_frame()


@pytest.mark.parametrize(
    ("event", "result", "printed"),
    [
        ("returns_twice", {"child": 0}, ""),
        ("raises_in_child", {"child": 1}, "ValueError: in the child"),
        ("exits_in_child", {"child": 7}, ""),
        ("bucket_in_child", 0, "refused: the connection to the platform is closed in this process"),
        ("terminates", -signal.SIGTERM, ""),
        ("pipes", "through a pipe", ""),
        ("spawns", 0, "spawned\n"),
    ],
)
def test_a_child_that_a_handler_forks_gives_no_second_result(
    agent: Agent, event: str, result: Any, printed: str
) -> None:
    agent.load(FUNCTIONS / "forks", buckets={"photos": "read"})
    frame = agent.invoke(event)
    assert frame.result == result
    assert printed in frame.output
    assert "faas_agent" not in frame.output
    assert agent.invoke("exits_in_child").result == {"child": 7}


def test_the_socket_closes_with_the_agent_although_a_forked_child_goes_on(agent: Agent) -> None:
    agent.load(FUNCTIONS / "forks")
    child = agent.invoke("stays_behind").result
    try:
        agent.process.kill()
        with pytest.raises(EOFError):
            agent.next_frame()
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_event_loop_of_async_handlers_lives_as_long_as_the_sandbox(agent: Agent) -> None:
    agent.load(FUNCTIONS / "async_handlers")
    assert agent.invoke(1).result == {"event": 1, "loops": 1, "calls": 1}
    assert agent.invoke(2).result == {"event": 2, "loops": 1, "calls": 2}
    agent.invoke("background")
    assert agent.invoke("background result").result == "made by an earlier invocation"


def test_an_error_in_a_coroutine_shows_the_users_own_frames(agent: Agent) -> None:
    agent.load(FUNCTIONS / "async_handlers")
    frame = agent.invoke("raise")
    assert frame.error["message"] == "from a coroutine"
    assert len(frame.error["stack"]) == 1
    assert "asyncio" not in frame.output
    assert agent.invoke("cancelled").error["type"] == "CancelledError"
    assert agent.invoke(1).kind == "result"


@pytest.mark.parametrize("handler", ["runs_itself", "with_get_event_loop", "wrapped"])
def test_handlers_that_bring_their_own_loop_or_wrap_a_coroutine_work(agent: Agent, handler: str) -> None:
    agent.load(FUNCTIONS / "async_handlers", f"app.{handler}")
    assert [agent.invoke(n).result["event"] for n in (1, 2)] == [1, 2]


def test_an_object_whose_call_is_a_coroutine_is_a_handler(agent: Agent) -> None:
    agent.load(FUNCTIONS / "async_handlers", "app.instance")
    assert agent.invoke().result == "from an object"


@pytest.mark.parametrize("network", ["none", "outbound"])
def test_the_log_says_what_to_change_when_a_function_without_network_tries_to_connect(
    agent: Agent, network: str
) -> None:
    agent.load(FUNCTIONS / "no_network", network=network)
    for event in ("name.invalid", "urllib"):
        frame = agent.invoke(event)
        assert frame.kind == "error"
        assert ("write `network: outbound` in faas.yaml" in frame.output) is (network == "none")


def test_a_late_answer_to_a_request_that_was_torn_away_is_passed_over(agent: Agent) -> None:
    agent.load(FUNCTIONS / "echo")
    agent.send({"t": "done", "n": 99})
    assert agent.invoke("after").result == "after"
