"""The runner's end of the agent protocol, for tests: starts the agent as a process and talks to it synchronously.

It keeps nothing from the agent that the protocol does not say, and serves buckets from real folders.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

AGENT = Path(__file__).parent.parent / "runners" / "agent" / "python"
FUNCTIONS = Path(__file__).parent / "functions"
PREFIX = struct.Struct(">II")
INVOKE = struct.Struct(">BHHIIII")
RESULT = struct.Struct(">BBIQ")
WAIT_S = 60


class Frame(NamedTuple):
    """One frame of the agent's, with what was printed before it."""

    header: dict[str, Any]
    body: bytes
    output: str

    @property
    def kind(self) -> str:
        return str(self.header["t"])

    @property
    def result(self) -> Any:
        """The decoded result; fails with the error's text when there is none."""
        assert self.kind == "result", f"{self.header}\n{self.output}"
        return self.body if self.header["bytes"] else json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        assert self.kind in ("error", "load_error"), f"{self.header} {self.body[:200]!r}"
        error: dict[str, Any] = self.header["error"]
        return error


class Agent:
    """A started agent. ``requests`` holds the headers of what it asked for (`open`, `commit`, ...).

    With ``in_pieces`` no descriptors are passed: it reads and writes objects as it would on another machine.
    """

    in_pieces = False

    def __init__(
        self, sock: socket.socket, buckets: dict[str, Path], process: subprocess.Popen[bytes] | None = None
    ) -> None:
        self._process = process
        self.sock = sock
        self.buckets = buckets
        self.requests: list[dict[str, Any]] = []
        self.opened: dict[int, tuple[int, Path]] = {}
        self.reading: dict[int, int] = {}
        self.access: dict[str, str] = {}
        self.pipe = -1
        self._printed: list[bytes] = []
        header, _body, descriptors = self._read()
        self.ready = header
        self.pipe = descriptors[0]
        os.set_blocking(self.pipe, False)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The agent's process, when it is one of this machine's and no container's."""
        assert self._process is not None
        return self._process

    def load(self, code: Path, handler: str = "app.handler", **fields: Any) -> Frame:
        """Send `load` with the protocol's fields (those given replace the usual ones) and await the answer."""
        self.access = fields.get("buckets", {})
        self.send(load_header(code, handler, **fields))
        return self.next_frame()

    def invoke(self, event: Any = None, **fields: Any) -> Frame:
        """Run one attempt and await its result; what the agent asks for meanwhile is answered."""
        self.send_invoke(event, **fields)
        return self.next_frame()

    def send_invoke(self, event: Any = None, **fields: Any) -> None:
        """Start an attempt without awaiting anything. An event of bytes is sent as it is."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        header = invoke_header(**fields)
        self.sock.sendall(PREFIX.pack(len(header), len(body)) + header + body)

    def next_frame(self) -> Frame:
        """The next frame that is no request for a bucket. Raises `EOFError` when the agent has gone."""
        while True:
            header, body, _descriptors = self._read()
            if header["t"] not in ("open", "read", "write", "commit", "discard", "list", "delete"):
                return Frame(header, body, self.printed())
            self.requests.append(header)
            self._answer(header, body)

    def printed(self) -> str:
        """What is in the output pipe now."""
        return self.printed_bytes().decode("utf-8", "replace")

    def printed_bytes(self) -> bytes:
        """The same, undecoded."""
        self._drain()
        chunks, self._printed = self._printed, []
        return b"".join(chunks)

    def send(self, header: dict[str, Any], body: bytes = b"", descriptors: Sequence[int] = ()) -> None:
        """Write one frame."""
        data = json.dumps(header).encode()
        frame = PREFIX.pack(len(data), len(body)) + data + body
        if descriptors:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            frame = frame[self.sock.sendmsg([frame], rights) :]
        self.sock.sendall(frame)

    def close(self) -> int:
        """Close the socket, and return the agent's exit status."""
        self.sock.close()
        return self.wait()

    def wait(self) -> int:
        """The exit status of the agent, once it has ended by itself."""
        return self.process.wait(WAIT_S)

    def release(self) -> None:
        """Close what this end holds."""
        self.sock.close()
        os.close(self.pipe)
        for descriptor in (*self.reading.values(), *(descriptor for descriptor, _target in self.opened.values())):
            os.close(descriptor)

    def _read(self) -> tuple[dict[str, Any], bytes, list[int]]:
        descriptors: list[int] = []
        prefix = self._exactly(PREFIX.size, descriptors)
        header_bytes, body_bytes = PREFIX.unpack(prefix)
        assert header_bytes <= 1 << 16
        header = _parsed(self._exactly(header_bytes, descriptors))
        return header, self._exactly(body_bytes, descriptors), descriptors

    def _keep_output_flowing(self) -> None:
        """Until a frame (or the socket's end) is there, read what is printed, as the runner does."""
        while self.pipe >= 0:
            ready = select.select([self.sock, self.pipe], [], [], WAIT_S)[0]
            if self.sock in ready or not ready or not self._drain():
                return

    def _drain(self) -> bool:
        """Read what is in the pipe; False when nobody can write to it any more."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.pipe, 1 << 20):
                self._printed.append(chunk)
            return False
        return True

    def _exactly(self, size: int, descriptors: list[int]) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._keep_output_flowing()
            chunk, ancillary, _flags, _address = self.sock.recvmsg(size - len(data), socket.CMSG_SPACE(4))
            for _level, _kind, packed in ancillary:
                descriptors.extend(array.array("i", packed))
            if not chunk:
                raise EOFError("the agent has gone")
            data += chunk
        return bytes(data)

    def _answer(self, header: dict[str, Any], body: bytes) -> None:
        number = header["n"]
        if header["t"] == "discard":
            os.close(self.reading.pop(number) if number in self.reading else self.opened.pop(number)[0])
        elif header["t"] == "read":
            piece = os.pread(self.reading[header["of"]], header["size"], header["offset"])
            self.send({"t": "done", "n": number}, piece)
        elif header["t"] == "write":
            os.pwrite(self.opened[header["of"]][0], body, header["offset"])
            self.send({"t": "done", "n": number})
        elif header["t"] == "open":
            self._answer_open(header)
        elif header["t"] == "list":
            self.send({"t": "done", "n": number}, json.dumps(self._keys(header)).encode())
        elif header["t"] == "commit":
            descriptor, target = self.opened.pop(number)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=descriptor)  # which makes it follow the link
            os.close(descriptor)
            self.send({"t": "done", "n": number})
        else:
            self._answer_delete(header)

    def _answer_open(self, header: dict[str, Any]) -> None:
        number, writes = header["n"], header["mode"] == "w"
        folder = self.buckets[header["bucket"]]
        target = folder / header["key"]
        if ".." in header["key"]:
            self.send({"t": "opened", "n": number, "error": "BadKey", "message": "a key may not hold .."})
        elif writes and self.access[header["bucket"]] != "write":
            self.send({"t": "opened", "n": number, "error": "Denied", "message": "declared for reading"})
        elif not writes and not target.is_file():
            self.send({"t": "opened", "n": number, "error": "NotFound", "message": "no such object"})
        else:
            descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o644) if writes else os.open(target, os.O_RDONLY)
            if self.in_pieces:
                self.send({"t": "opened", "n": number, "size": os.fstat(descriptor).st_size})
            else:
                self.send({"t": "opened", "n": number}, descriptors=[descriptor])
            if writes:
                self.opened[number] = (descriptor, target)
            elif self.in_pieces:
                self.reading[number] = descriptor
            else:
                os.close(descriptor)

    def _answer_delete(self, header: dict[str, Any]) -> None:
        target = self.buckets[header["bucket"]] / header["key"]
        if target.is_file():
            target.unlink()
            self.send({"t": "done", "n": header["n"]})
        else:
            self.send({"t": "done", "n": header["n"], "error": "NotFound", "message": "no such object"})

    def _keys(self, header: dict[str, Any]) -> list[dict[str, Any]]:
        folder = self.buckets[header["bucket"]]
        files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        keys = [key for key in sorted(files) if key.startswith(header["prefix"]) and key > header["after"]]
        return [
            {"key": key, "size": files[key].stat().st_size, "modified_ms": files[key].stat().st_mtime_ns // 1_000_000}
            for key in keys[: header["limit"]]
        ]


def load_header(code: Path, handler: str = "app.handler", **fields: Any) -> dict[str, Any]:
    """The header of a `load`; the fields given replace the usual ones."""
    usual = {
        "t": "load",
        "code": str(code),
        "handler": handler,
        "env": {},
        "function": "thing",
        "version": "7",
        "memory_mb": 256,
        "timeout_ms": 30_000,
        "region": "local",
        "account": "000000000000",
        "max_result_bytes": 6_291_556,
        "buckets": {},
        "network": "none",
        "limits": {"file_bytes": 1 << 30, "output_bytes": 1 << 18},
        "objects": "descriptor",
    }
    return {**usual, **fields}


def invoke_header(
    id: str = "0190b5a0-0000-7000-8000-000000000001",
    timeout_ms: int = 30_000,
    trace_id: str | None = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0",
    attempt: int = 1,
    depth: int = 0,
    client_context: str | None = None,
) -> bytes:
    """The header of an `invoke`."""
    texts = [text.encode() for text in (id, trace_id or "", client_context or "")]
    sizes = [len(text) for text in texts]
    return INVOKE.pack(1, *sizes[:2], timeout_ms, attempt, depth, sizes[2]) + b"".join(texts)


def result_header(id: str, us: int = 1, mem_kb: int = 1, is_bytes: int = 0) -> bytes:
    """The header of a `result`."""
    return RESULT.pack(2, is_bytes, mem_kb, us) + id.encode()


def _parsed(header: bytes) -> dict[str, Any]:
    if header[0] != 2:
        parsed: dict[str, Any] = json.loads(header)
        return parsed
    _kind, is_bytes, mem_kb, us = RESULT.unpack_from(header)
    id = header[RESULT.size :].decode()
    return {"t": "result", "id": id, "us": us, "mem_kb": mem_kb, "bytes": bool(is_bytes)}


@contextlib.contextmanager
def started_agent(buckets: dict[str, Path] | None = None) -> Iterator[Agent]:
    """An agent process that has said `ready`, with nothing in its environment but PATH and HOME."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp"}
    with listening() as (folder, listener):
        process = subprocess.Popen([sys.executable, "-u", "-B", str(AGENT), str(folder)], env=environment)
        try:
            with accepted(listener, buckets or {}, process) as agent:
                yield agent
        finally:
            process.kill()
            process.wait(WAIT_S)


@contextlib.contextmanager
def listening() -> Iterator[tuple[Path, socket.socket]]:
    """A folder whose socket ``s`` any user may connect to."""
    folder = Path(tempfile.mkdtemp(prefix="agent"))
    folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "s"))
        (folder / "s").chmod(0o666)
        listener.listen(1)
        listener.settimeout(WAIT_S)
        try:
            yield folder, listener
        finally:
            shutil.rmtree(folder)


@contextlib.contextmanager
def accepted(
    listener: socket.socket, buckets: dict[str, Path], process: subprocess.Popen[bytes] | None = None
) -> Iterator[Agent]:
    """The agent that connects to the listener."""
    sock, _address = listener.accept()
    sock.settimeout(WAIT_S)
    agent = Agent(sock, buckets, process)
    try:
        yield agent
    finally:
        agent.release()
