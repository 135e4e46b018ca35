"""The agent's end of its socket: each answer keeps its descriptor, whatever nobody waits for any more came with it."""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from runners.agent.python.faas_agent import connection

OPEN = {"t": "open", "bucket": "b", "key": "k", "mode": "r"}


class Runner:
    """The other end, and the files whose descriptors it sends."""

    def __init__(self, folder: Path) -> None:
        self.sock, agents = socket.socketpair()
        self.agent = connection.Connection(agents)
        self.agent.begin_attempt()
        self._folder = folder

    def say(self, header: dict[str, object], name: str | None = None) -> None:
        """Send a frame, with the descriptor of a file of this name if there is one."""
        data = json.dumps(header).encode()
        frame = struct.pack(">II", len(data), 0) + data
        if name is None:
            self.sock.sendall(frame)
            return
        (self._folder / name).write_text(name)
        with (self._folder / name).open() as file:
            rights = array.array("i", [file.fileno()])
            self.sock.sendmsg([frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

    def opened(self) -> str | None:
        """What lies behind the descriptor that the agent's next request is answered with."""
        descriptor = self.agent.request(self.agent.attempt_number, dict(OPEN)).descriptor
        if descriptor is None:
            return None
        with os.fdopen(descriptor) as file:
            return file.read()

    def next_header(self) -> dict[str, object]:
        size, _body = struct.unpack(">II", self.sock.recv(8, socket.MSG_WAITALL))
        found: dict[str, object] = json.loads(self.sock.recv(size, socket.MSG_WAITALL))
        return found


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    before = len(os.listdir("/proc/self/fd"))
    made = Runner(tmp_path)
    yield made
    made.sock.close()
    os.close(made.agent.fileno())
    made.agent._socket.detach()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_an_answer_keeps_its_descriptor_though_a_late_one_came_with_it(runner: Runner) -> None:
    runner.say({"t": "done", "n": 99})
    runner.say({"t": "opened", "n": 1}, "mine")
    assert runner.opened() == "mine"


def test_the_descriptor_of_a_late_answer_is_closed_and_never_taken_for_another(runner: Runner) -> None:
    runner.say({"t": "opened", "n": 98}, "late")
    runner.say({"t": "opened", "n": 97, "error": "NotFound"})
    runner.say({"t": "opened", "n": 1}, "mine")
    assert runner.opened() == "mine"
    runner.say({"t": "opened", "n": 2, "error": "Denied"})
    assert runner.opened() is None


@pytest.mark.parametrize("is_read_already", [False, True])
def test_a_late_answer_that_comes_between_attempts_leaves_no_descriptor_for_the_next(
    runner: Runner, is_read_already: bool
) -> None:
    runner.say({"t": "opened", "n": 99}, "late")
    if is_read_already:  # as an exception leaves it that was raised when it had come
        assert runner.agent._next_reply(1) is None
    header, _body = runner.agent.receive()
    runner.agent.pass_over(json.loads(bytes(header)))
    runner.agent.begin_attempt()
    runner.say({"t": "opened", "n": 1}, "of the next attempt")
    assert runner.opened() == "of the next attempt"


def test_what_was_let_go_of_is_said_before_the_next_request_of_its_attempt_alone(runner: Runner) -> None:
    runner.agent.released += [(runner.agent.attempt_number, 5), (runner.agent.attempt_number - 1, 6)]
    runner.say({"t": "opened", "n": 1, "size": 0})
    assert runner.opened() is None
    assert runner.next_header() == {"t": "discard", "n": 5}
    assert runner.next_header() == {**OPEN, "n": 1}
