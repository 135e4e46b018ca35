"""What a hostile sandbox says to its runner, while it is greeted, while it loads, and while an attempt runs."""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator

import msgspec

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.core import model
from faas.core import settings as settings_module
from runners.sandbox import base, channel, greeting, output, verdicts
from tests.fuzz import edge, mutate, trees

_ID = "0190b5a0-0000-7000-8000-000000000001"
_SETTINGS = settings_module.of(max_event_bytes=20_000, max_result_bytes=20_000, init_timeout_ms=5_000)
_MEMORY_MB = 128
_BEGINS_WITHIN_S = 0.05
_PART = struct.Struct(">BH")
_RESULT = struct.Struct(">BBIQ")
_HEADERS: tuple[dict[str, object], ...] = (
    {"t": "ready", "pid": 1, "python": "3.11"},
    {"t": "loaded", "init_us": 1, "mem_kb": 1},
    {"t": "load_error", "init_us": 1, "mem_kb": 1, "error": {"type": "E", "message": "m", "stack": ["a"]}},
    {
        "t": "error",
        "id": _ID,
        "us": 1,
        "mem_kb": 1,
        "error": {"type": "E", "message": "m", "stack": []},
        "exit": False,
        "retry_after_ms": 5,
    },
    {"t": "open", "n": 1, "bucket": "seen", "key": "secret", "mode": "r"},
    {"t": "open", "n": 2, "bucket": "own", "key": "a/b", "mode": "w"},
    {"t": "commit", "n": 2},
    {"t": "discard", "n": 2},
    {"t": "list", "n": 3, "bucket": "own", "prefix": "a", "after": "", "limit": 5},
    {"t": "delete", "n": 4, "bucket": "own", "key": "a/b"},
)
_WORDS = (
    "own",
    "seen",
    "other",
    "a/b",
    "../outside/secret",
    "secret",
    "r",
    "w",
    _ID,
    "t",
    "n",
    "id",
    "us",
    "mem_kb",
    "exit",
    "retry_after_ms",
)


class FrameEdge(edge.Edge):
    """The runner's end of the socket. An input is what comes at once, with how many descriptors: see `_parts`."""

    name = "frames"
    at_once = 8
    made_anew = 0.6
    tokens = (
        *(json.dumps(each, separators=(",", ":")).encode() for each in _HEADERS),
        struct.pack(">II", 0, 0), struct.pack(">II", 2, 0), struct.pack(">II", 50, 3), b"\xff" * 8, b"\x02",
        _ID.encode(), b"{}", b"null",
    )  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """Buckets with a neighbour that is nobody's."""
        self._home = around.home
        self._outside = around.home / "outside"
        self._buckets = {name: folders.BucketFolder(name, around.home / name) for name in ("own", "seen", "other")}
        for folder in (*(each.root for each in self._buckets.values()), self._outside):
            folder.mkdir()
            (folder / "secret").write_bytes(b"x")
        self._files = 0

    def seeds(self) -> Iterable[bytes]:
        """What a good agent says, whole."""
        yield _input([(framed({"t": "loaded", "init_us": 1, "mem_kb": 1}), 0), (result(b'"well"'), 0)])
        for header in _HEADERS[3:]:
            yield _input([(framed(_HEADERS[1]), 0), (framed(header), 0), (framed(_HEADERS[6]), 0), (result(b"1"), 0)])
        yield _input([(framed(_HEADERS[0]), 1)])

    def make(self, chance: random.Random) -> bytes:
        """Frames that are each one of the protocol's, changed or not."""
        parts = [(framed(_HEADERS[1]), 0)] if chance.random() < 0.9 else []
        for _ in range(chance.randint(1, 6)):
            parts.append((_frame(chance, self), chance.choice((0, 0, 0, 0, 1, 3))))
        if chance.random() < 0.5:
            parts.append((result(chance.choice((b"1", b'"x"', b"{", b"\xff", b"[" * 2_000))), 0))
        return _input(parts)

    async def attempt(self, given: bytes) -> str:
        """Say it to a runner that greets, or to one that loads and runs."""
        if zlib.crc32(given) % 8 == 0:
            return await _greeted(given)
        peer = _Peer(self._buckets.get, patient=zlib.crc32(given) % 64 != 1)
        try:
            return await peer.outcome(given)
        finally:
            peer.close()

    async def look(self) -> None:
        """Nothing is left open, and nothing was touched that is nobody's."""
        edge.check((self._outside / "secret").read_bytes() == b"x", "changed outside")
        names = sorted(each.name for each in self._home.iterdir())
        edge.check(names == ["other", "outside", "own", "seen"], f"made beside the buckets: {names}")
        edge.check((self._home / "other" / "secret").read_bytes() == b"x", "changed a bucket that is not declared")
        edge.check((self._home / "seen" / "secret").read_bytes() == b"x", "changed a bucket that may be read only")
        edge.check(not list(self._home.rglob(".faas-*")), "left a file that was being published")
        open_files = len(os.listdir("/proc/self/fd"))
        self._files = self._files or open_files + 100  # those of inputs under way, and of the threads that serve them
        edge.check(open_files <= self._files, f"{open_files} files are open")


class _Peer:
    """A runner's channel, and the far end of its socket."""

    def __init__(self, find: Callable[[str], buckets.Bucket | None], *, patient: bool) -> None:
        near, self._far = socket.socketpair()
        reading, self._printing = os.pipe()
        self._far.setblocking(False)
        self._hangs_up = patient
        self.is_doomed = False
        self._timeout_ms = 5_000 if patient else 30
        self._channel = channel.Channel(near, reading, self, find, _SETTINGS.sandboxes)

    async def why_gone(self, _told: verdicts.Exited | None) -> verdicts.Death:
        return verdicts.Exited(1)

    def doom(self) -> None:
        self.is_doomed = True

    def keep_output(self, lines: output.Lines) -> None:
        pass

    async def outcome(self, given: bytes) -> str:
        """What a load, and the attempt after it, become when the sandbox says this."""
        loading = asyncio.ensure_future(self._channel.load(_revision(self._timeout_ms), "/code"))
        await asyncio.sleep(0)
        saying = asyncio.ensure_future(self._say(given))
        try:
            loaded = await loading
            if loaded.error is not None:
                return f"load {loaded.status} {edge.said(loaded.error.message)}"
            return await self._ran()
        except base.SandboxLost as lost:
            return f"lost {edge.said(lost)}"
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def _ran(self) -> str:
        loop = asyncio.get_running_loop()
        began_s, future = loop.time(), loop.create_future()
        self._channel.run(_invocation(), lambda ran: future.done() or future.set_result(ran))
        ran = await future
        if isinstance(ran, base.SandboxLost):
            return f"lost {edge.said(ran)}"
        edge.check(ran.duration_us <= (loop.time() - began_s) * 1e6 + 1_000, f"billed {ran.duration_us} us")
        edge.check(ran.memory_peak_mb <= _MEMORY_MB, f"used {ran.memory_peak_mb} MB")
        edge.check(
            ran.status is not model.Status.OK or len(ran.body) <= _SETTINGS.sandboxes.max_result_bytes,
            "a result over its limit",
        )
        edge.check(ran.status is model.Status.OK or ran.error is not None, "failed for no reason")
        edge.check(
            ran.status is model.Status.OK or ran.reusable or self.is_doomed, "neither to be used again nor doomed"
        )
        msgspec.msgpack.encode(ran)
        return f"{ran.status} {ran.reusable} {edge.said(ran.error.message) if ran.error else ''}"

    async def _say(self, given: bytes) -> None:
        await self._hear(60)  # what is to be loaded
        for place, (data, descriptors) in enumerate(_parts(given)):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [self._printing] * descriptors))]
            with contextlib.suppress(OSError):
                self._far.sendmsg([data], rights if descriptors else [])
            # The first is the answer to the load; what follows answers an attempt, and is no answer before that began.
            await self._hear(_BEGINS_WITHIN_S if place == 0 else 0)
        if self._hangs_up:
            with contextlib.suppress(OSError):
                self._far.shutdown(socket.SHUT_WR)
        await self._hear(60)

    async def _hear(self, within_s: float) -> None:
        """Read what the runner says: at once what is there, or the next that comes."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, TimeoutError):
            if within_s:
                async with asyncio.timeout(within_s):  # `wait_for` forgets that it was cancelled when something came
                    await loop.sock_recv(self._far, 1 << 16)
            else:
                await asyncio.sleep(0)
            while self._far.recv(1 << 16):
                pass

    def close(self) -> None:
        """Close both ends."""
        self._channel.close()
        self._far.close()
        os.close(self._printing)


async def _greeted(given: bytes) -> str:
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    launched: asyncio.Future[None] = loop.create_future()
    launched.set_result(None)
    reading, writing = os.pipe()
    pipes: list[int] = []
    try:
        for data, descriptors in _parts(given):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reading] * descriptors))]
            with contextlib.suppress(OSError):
                far.sendmsg([data], rights if descriptors else [])
        far.shutdown(socket.SHUT_WR)
        await greeting._ready(near, pipes)
    except base.SandboxLost as lost:
        return f"greeted {edge.said(lost)}"
    finally:
        for each in (*pipes, reading, writing):
            os.close(each)
        near.close()
        far.close()
    return "greeted"


def framed(header: dict[str, object], body: bytes = b"") -> bytes:
    """A frame with a header of JSON."""
    data = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return struct.pack(">II", len(data), len(body)) + data + body


def result(body: bytes, us: int = 1, mem_kb: int = 1, is_bytes: int = 0, id: bytes = _ID.encode()) -> bytes:
    """The frame of a result."""
    data = _RESULT.pack(2, is_bytes, mem_kb, us) + id
    return struct.pack(">II", len(data), len(body)) + data + body


def _frame(chance: random.Random, of: edge.Edge) -> bytes:
    way = chance.randrange(5)
    if way == 0:
        return result(
            chance.randbytes(3), chance.choice((0, 2**53, 2**64 - 1)), chance.choice((0, 2**32 - 1)),
            chance.randrange(256),
            chance.choice((_ID.encode(), b"", b"\xff" * 36, b"x" * 70_000)),
        )  # fmt: skip
    header = chance.choice(_HEADERS)
    if way == 1:
        return framed(header, chance.choice((b"", b"x" * 40)))
    if way < 4:
        made = trees.changed(chance, header, _WORDS)
        return framed(made, chance.choice((b"", b"", b"x")))
    return mutate.Mutator(chance, of.tokens, of.most_bytes).mutated(framed(header), ())


def _input(parts: Iterable[tuple[bytes, int]]) -> bytes:
    return b"".join(_PART.pack(descriptors, min(len(data), 65_535)) + data for data, descriptors in parts)


def _parts(given: bytes) -> Iterator[tuple[bytes, int]]:
    """What an input says: pieces, each behind a byte (the descriptors that come with it) and its length in two."""
    at = 0
    while at + _PART.size <= len(given):
        descriptors, size = _PART.unpack_from(given, at)
        at += _PART.size
        if data := given[at : at + size]:
            yield data, descriptors % 5
        at += size


def _revision(timeout_ms: int) -> model.Revision:
    config = model.FunctionConfig(
        runtime="python3", handler="app.handler", timeout_ms=timeout_ms, memory_mb=_MEMORY_MB,
        buckets={"own": model.Access.WRITE, "seen": model.Access.READ},
    )  # fmt: skip
    return model.Revision(function="f", number=1, artifact="0" * 64, config=config, created_at_ms=0)


def _invocation() -> model.Invocation:
    return model.Invocation(
        id=_ID, function="f", revision=1, trigger="http", mode=model.Mode.SYNC, event=b"{}", accepted_at_ms=1
    )
