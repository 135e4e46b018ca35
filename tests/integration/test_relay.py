"""The process before an agent that a runner elsewhere speaks to, while the test is that runner."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runners.sandbox import door
from tests import agent_harness
from tests.eventually import eventually_sync

PREFIX = struct.Struct(">II")
OUTPUT = struct.Struct(">BIQ")
SMALL = 4_096
APP = '''
import os, signal, socket, stat, subprocess, sys, threading, time

def handler(event, context):
    return globals()[event](context)

def prints(context):
    print("one")
    subprocess.run([sys.executable, "-c", "print('from a child')"], stdin=subprocess.DEVNULL)
    os.write(2, b"two")
    threading.Timer(0.05, print, ("later",)).start()
    return "done"

def prints_much(context):
    for _ in range(64):
        os.write(1, b"x" * 1_048_576)
    return "done"

def prints_last(context):
    os.write(1, b"last")

def prints_beside_a_large_result(context):
    threading.Thread(target=lambda: [os.write(1, b"beside\\n") for _ in range(20_000)]).start()
    return "x" * 900_000

def says_its_socket(context):
    return [fd for fd in range(3, 64) if _is_socket(fd)]

def whispers(context):
    """Write the beginning of a frame when the result has been sent."""
    def late():
        os.write(says_its_socket(context)[0], b"\\0\\0")
    threading.Timer(0.1, late).start()

def dies_in_a_frame(context):
    os.write(says_its_socket(context)[0], b"\\0\\0\\0")
    os.kill(os.getpid(), 9)

def waits(context):
    print("waiting", flush=True)
    time.sleep(60)

def _is_socket(fd):
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
'''


class Far:
    """A sandbox that has called home. ``printed`` is its output by the numbers of loads and invokes, and what of it."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self.process = process
        self.sock = sock
        self.printed: dict[int, bytearray] = {}
        self.dropped: dict[int, int] = {}
        self.ready = self.next()

    def send(self, header: dict[str, Any] | bytes, body: bytes = b"") -> None:
        data = header if isinstance(header, bytes) else json.dumps(header).encode()
        self.sock.sendall(PREFIX.pack(len(data), len(body)) + data + body)

    def next(self) -> dict[str, Any]:
        """The next frame that is no output. Raises `EOFError`."""
        while (found := self._frame()) is None:
            pass
        return found

    def hear(self, number: int, end: bytes) -> None:
        """Read output until what was printed under this number ends so."""
        while not self.printed.get(number, bytearray()).endswith(end):
            assert self._frame() is None

    def _frame(self) -> dict[str, Any] | None:
        """One frame; None for output."""
        header_bytes, body_bytes = PREFIX.unpack(self._exactly(PREFIX.size))
        header, body = self._exactly(header_bytes), self._exactly(body_bytes)
        if header[0] != 3:
            return {"t": "result", "body": body} if header[0] == 2 else dict(json.loads(header))
        _kind, number, dropped = OUTPUT.unpack(header)
        self.printed.setdefault(number, bytearray()).extend(body)
        self.dropped[number] = self.dropped.get(number, 0) + dropped
        return None

    def load(self, code: Path, output_bytes: int = SMALL) -> dict[str, Any]:
        self.send(agent_harness.load_header(code, limits={"output_bytes": output_bytes}))
        return self.next()

    def invoke(self, event: str) -> None:
        self.send(agent_harness.invoke_header(id=event), json.dumps(event).encode())

    def call(self, event: str) -> dict[str, Any]:
        self.invoke(event)
        return self.next()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    return folder


@pytest.fixture
def far() -> Iterator[Far]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        link = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
        env = {"PATH": os.environ["PATH"], "HOME": "/tmp", door.WORD_IN: "its word"}
        process = subprocess.Popen([sys.executable, "-u", "-B", str(agent_harness.AGENT), link], env=env)
        try:
            sock, _address = listener.accept()
            sock.settimeout(60)
            with sock:
                yield Far(process, sock)
        finally:
            process.kill()
            process.wait()


def test_it_says_its_word_and_what_it_takes(far: Far) -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert far.ready.pop("pid") != far.process.pid
    assert far.ready == {
        "t": "ready",
        "python": version,
        "objects": ["descriptor", "stream"],
        "token": "its word",
        "takes_code": True,
    }


def test_what_an_attempt_prints_comes_before_its_result_and_the_rest_has_its_number(far: Far, code: Path) -> None:
    assert far.load(code)["t"] == "loaded"
    assert far.call("prints") == {"t": "result", "body": b'"done"'}
    assert far.printed == {2: b"one\nfrom a child\ntwo"}
    far.hear(2, b"later\n")


def test_what_is_printed_last_is_there_when_the_result_is_each_time(far: Far, code: Path) -> None:
    far.load(code)
    for number in range(2, 302):
        assert far.call("prints_last")["body"] == b"null"
        assert far.printed[number] == b"last"


def test_output_never_comes_in_the_middle_of_a_frame(far: Far, code: Path) -> None:
    far.load(code, output_bytes=1 << 30)
    for _ in range(20):
        assert far.call("prints_beside_a_large_result")["body"] == b'"' + b"x" * 900_000 + b'"'
    assert far.call("says_its_socket")
    assert {line for text in far.printed.values() for line in bytes(text).splitlines()} == {b"beside"}


def test_of_output_without_end_so_much_comes_as_is_kept_and_the_rest_is_counted(far: Far, code: Path) -> None:
    far.load(code)
    for number in (2, 3):
        assert far.call("prints_much")["body"] == b'"done"'
        assert len(far.printed[number]) == SMALL
        assert far.dropped[number] == (64 << 20) - SMALL


def test_a_runner_that_does_not_read_holds_the_printing_back(far: Far, code: Path) -> None:
    far.load(code, output_bytes=1 << 30)
    far.invoke("prints_much")
    sizes: list[int] = []

    def has_stopped() -> bool:
        sizes.append(_resident_mb(far.process.pid))
        return len(sizes) > 50 and len(set(sizes[-20:])) == 1

    eventually_sync(has_stopped, within=20)
    assert max(sizes) < 40
    assert far.next()["body"] == b'"done"'
    assert far.printed[2] == b"x" * (64 << 20)
    assert far.dropped[2] == 0


def test_how_the_agent_ended_comes_last_and_is_the_status_of_the_sandbox_too(far: Far, code: Path) -> None:
    far.load(code)
    far.invoke("waits")
    eventually_sync(lambda: _children(far.process.pid))
    os.kill(_children(far.process.pid)[0], signal.SIGKILL)
    assert far.next() == {"t": "exited", "status": 137}
    with pytest.raises(EOFError):
        far.next()
    assert far.process.wait(10) == 137


def test_an_agent_that_dies_in_the_middle_of_a_frame_ends_the_connection(far: Far, code: Path) -> None:
    far.load(code)
    far.invoke("dies_in_a_frame")
    with pytest.raises(EOFError):
        far.next()
    assert far.process.wait(10) == 137


def test_what_is_written_to_the_connection_when_nothing_is_asked_is_not_passed_on(far: Far, code: Path) -> None:
    far.load(code)
    assert far.call("whispers")["body"] == b"null"
    assert far.next() == {"t": "exited", "status": 137}


def test_a_sandbox_whose_runner_has_gone_ends_with_its_agent(far: Far, code: Path) -> None:
    far.load(code)
    far.invoke("waits")
    (agent,) = _children(far.process.pid)
    far.sock.close()
    far.process.wait(10)
    eventually_sync(lambda: not Path(f"/proc/{agent}").exists() or "Z" in Path(f"/proc/{agent}/stat").read_text())


def test_signals_are_passed_on(far: Far, code: Path) -> None:
    far.load(code)
    far.process.terminate()
    assert far.next() == {"t": "exited", "status": 0}
    assert far.process.wait(10) == 0


@pytest.mark.parametrize("piece_bytes", [1, 511, 100_000, 1 << 20])
def test_code_comes_in_pieces_and_is_unpacked_as_it_comes(far: Far, tmp_path: Path, piece_bytes: int) -> None:
    bundle = tar({"app.py": APP.encode(), "deep/down/data": b"x" * 20_000})
    folder = tmp_path / "task"
    for at in range(0, len(bundle), piece_bytes):
        far.send({"t": "code", "folder": str(folder)}, bundle[at : at + piece_bytes])
    far.send({"t": "code", "folder": str(folder)})
    assert far.next() == {"t": "placed"}
    assert (folder / "deep/down/data").read_bytes() == b"x" * 20_000
    assert far.load(folder)["t"] == "loaded"
    assert far.call("prints")["body"] == b'"done"'


def test_code_that_cannot_be_unpacked_is_answered_and_costs_nothing_else(far: Far, code: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for bundle, folder in ((tar({"a": b"x" * 300_000}), tmp_path / "taken"), (b"no tar" * 99_999, tmp_path / "other")):
        for at in range(0, len(bundle), 65_536):
            far.send({"t": "code", "folder": str(folder)}, bundle[at : at + 65_536])
        far.send({"t": "code", "folder": str(folder)})
        answer = far.next()
        assert answer["t"] == "placed"
        assert "could not be unpacked" in answer["error"]
    assert far.load(code)["t"] == "loaded"


def tar(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _resident_mb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
