"""From a sandbox that is being started to one that has said `ready`."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from runners.sandbox import base, frames

WITHIN_S = 60.0
LOOK_EVERY_S = 1.0
PIPE_BYTES = 1 << 18
"""What agents ask for, too."""
_CREDENTIALS = struct.Struct("3i")


class Greeted(msgspec.Struct, frozen=True):
    """A connected agent.

    ``pid`` is its process as this host sees it (0 when it cannot), ``pipe`` its output, which no other machine passes.
    """

    sock: socket.socket
    pipe: int | None
    pid: int
    says: frames.Ready

    def close(self) -> None:
        """Nobody takes it."""
        self.sock.close()
        if self.pipe is not None:
            os.close(self.pipe)


async def greet(
    listener: socket.socket, launched: asyncio.Future[Any], is_running: Callable[[], Awaitable[bool]]
) -> Greeted:
    """Wait until the agent has connected and is ready, and the launch is over.

    Raises what ``launched`` raises, or `base.SandboxLost` when the sandbox ended, or was not ready in time.
    """
    loop = asyncio.get_running_loop()
    hello = loop.create_task(_hello(listener))
    try:
        return await meet(hello, launched, is_running)
    except BaseException:
        # A cancelled accept stops listening only in a later turn of the loop. Whoever closes the listener before that
        # leaves its number behind as one that is watched, and the next descriptor of that number would never be: what
        # waits for it, such as the end of a process, would wait for ever.
        loop.remove_reader(listener.fileno())
        raise


async def meet(
    hello: asyncio.Future[Greeted], launched: asyncio.Future[Any], is_running: Callable[[], Awaitable[bool]]
) -> Greeted:
    """Wait for the greeting, and until the launch is over. Where it fails nobody takes the greeting.

    Raises what ``launched`` and ``hello`` raise, or `base.SandboxLost` as `greet` does.
    """
    try:
        async with asyncio.timeout(WITHIN_S):
            await asyncio.wait({hello, launched}, return_when=asyncio.FIRST_COMPLETED)
            if not hello.done():
                await asyncio.shield(launched)
            # A container that has started may still end before its agent connects, and the socket says nothing of that.
            while not hello.done():
                await asyncio.wait({hello}, timeout=LOOK_EVERY_S)
                if not hello.done() and not await is_running():
                    raise base.SandboxLost("the sandbox ended before its agent was ready")
            await asyncio.shield(launched)
    except TimeoutError as error:
        _drop(hello)
        raise base.SandboxLost(f"the sandbox was not ready within {WITHIN_S:.0f} s") from error
    except BaseException:
        _drop(hello)
        raise
    return hello.result()


def _drop(hello: asyncio.Future[Greeted]) -> None:
    if not hello.cancel() and not hello.cancelled() and hello.exception() is None:
        hello.result().close()


async def _hello(listener: socket.socket) -> Greeted:
    # What a cancelled `sock_accept` has accepted is closed by nobody.
    await _readable(listener)
    sock, _ = listener.accept()
    pipes: list[int] = []
    try:
        says = await _ready(sock, pipes)
    except BaseException:
        sock.close()
        for pipe in pipes:
            os.close(pipe)
        raise
    # The kernel says who connected, translated to this host's numbers; 0 where it has none for it.
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Greeted(sock, pipes[0], _CREDENTIALS.unpack(credentials)[0], says)


async def _ready(sock: socket.socket, pipes: list[int]) -> frames.Ready:
    sock.setblocking(False)
    # The first frame has no body.
    reader = frames.FrameReader(0)
    while True:
        await _readable(sock)
        try:
            data, descriptors, _flags, _address = socket.recv_fds(
                sock, frames.MAX_HEADER_BYTES, 4, socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            raise base.SandboxLost("the agent ended before it was ready") from error
        pipes += descriptors
        if not data:
            raise base.SandboxLost("the agent ended before it was ready")
        reader.feed(data)
        found = next_frame(reader)
        if found is not None:
            if isinstance(found, frames.Ready) and found.wants == "output" and not pipes:
                pipes.append(_lend_output(sock))
            return _checked(found, pipes)


def next_frame(reader: frames.FrameReader) -> frames.Received | None:
    """What has come whole; None when nothing has. Raises `base.SandboxLost`."""
    try:
        frame = reader.next()
    except frames.BrokenProtocol as error:
        raise base.SandboxLost(f"the agent broke the protocol: {error}") from error
    return None if frame is None else frame[0]


def _lend_output(sock: socket.socket) -> int:
    """Give the agent a pipe for its output; the reading end."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # a smaller one only makes for more reads
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        socket.send_fds(sock, [frames.head(frames.Lent(), 0)], [writing])
    except OSError as error:
        os.close(reading)
        raise base.SandboxLost("the agent ended before it had its output") from error
    finally:
        os.close(writing)
    return reading


def _checked(found: frames.Received, pipes: list[int]) -> frames.Ready:
    if not isinstance(found, frames.Ready) or len(pipes) != 1 or not stat.S_ISFIFO(os.fstat(pipes[0]).st_mode):
        raise base.SandboxLost("the agent broke the protocol: its first frame is not `ready` with one pipe")
    return found


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    number = sock.fileno()
    loop.add_reader(number, event.set)
    try:
        await event.wait()
    finally:
        # Whoever cancelled this may have closed it; then `_drop` has stopped the watching, and has no number any more.
        if sock.fileno() == number:
            loop.remove_reader(number)
