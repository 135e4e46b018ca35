"""Where the sandboxes of other machines call home: one listener for all of them, and a word by which each is known.

::

    expected ──connects, says `ready` with its word──► greeted
        └────given up────► unknown: whoever says that word is turned away

The word is in the environment of the sandbox's first process and good for one call. Whoever connects and does not say
one that is expected, in time, is turned away; so is everybody while too many have connected and said nothing yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Iterator

import msgspec

from runners.sandbox import base, frames, greeting

WORD_IN = "SANDBOX_TOKEN"
"""The variable in which a sandbox finds its word."""

HEARD_WITHIN_S = 10.0
MAX_UNHEARD = 256
_LATER_S = 1.0
_KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))

_log = logging.getLogger(__name__)


class Expected(msgspec.Struct, frozen=True, eq=False):
    """A sandbox that is to call: the word that it is given, and its greeting to come."""

    word: str
    greeted: asyncio.Future[greeting.Greeted]


class Door:
    """Listens until `close`. Make it with `open`."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._expected: dict[str, Expected] = {}
        self._unheard: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept)

    @classmethod
    def open(cls, host: str, port: int = 0) -> Door:
        """Listen on an address of this host. Raises `base.EngineUnavailable`."""
        try:
            listener = socket.create_server((host, port), backlog=MAX_UNHEARD)
        except OSError as error:
            raise base.EngineUnavailable(
                f"sandboxes cannot call at {host}:{port}: {error.strerror}", hint="name an address of this machine"
            ) from error
        # A caller may have gone between the loop's word and `accept`, which would wait for the next one.
        listener.setblocking(False)
        return cls(listener)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    @contextlib.contextmanager
    def expecting(self) -> Iterator[Expected]:
        """Expect one more sandbox for the length of the block. What has called by then is the caller's to close."""
        expected = Expected(secrets.token_urlsafe(24), asyncio.get_running_loop().create_future())
        self._expected[expected.word] = expected
        try:
            yield expected
        finally:
            self._expected.pop(expected.word, None)

    async def close(self) -> None:
        """Hear nobody any more. Safe to call twice."""
        if self._later is not None:
            self._later.cancel()
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
        for task in self._unheard:
            task.cancel()
        if self._unheard:
            await asyncio.wait(self._unheard)

    def _accept(self) -> None:
        try:
            sock, _address = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # it hung up
            return
        except OSError as error:  # there is no descriptor left
            _log.warning("nobody_can_call", extra={"reason": error.strerror})
            self._look_again_later()
            return
        if len(self._unheard) >= MAX_UNHEARD:
            sock.close()
            return
        task = asyncio.get_running_loop().create_task(self._hear(sock), name="a sandbox calls")
        self._unheard.add(task)
        task.add_done_callback(self._unheard.discard)

    def _look_again_later(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener.fileno())
        # The connection that could not be accepted stays ready, and the loop would do nothing but ask again.
        self._later = loop.call_later(_LATER_S, loop.add_reader, self._listener.fileno(), self._accept)

    async def _hear(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(HEARD_WITHIN_S):
                says = await _ready(sock)
            expected = self._expected.pop(says.token, None)
            if expected is None:
                raise base.SandboxLost("nobody expects it")
        except (base.SandboxLost, TimeoutError) as error:
            _log.info("caller_turned_away", extra={"reason": str(error) or "it said nothing"})
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            _take_care(sock)
            greeted = greeting.Greeted(sock, None, 0, says)
            # Who expected it has given up in the same turn of the loop.
            if expected.greeted.done():
                greeted.close()
            else:
                expected.greeted.set_result(greeted)


async def _ready(sock: socket.socket) -> frames.Ready:
    """What a sandbox says first. It says nothing more until it is spoken to. Raises `base.SandboxLost`."""
    loop = asyncio.get_running_loop()
    reader = frames.FrameReader(0)
    while True:
        try:
            data = await loop.sock_recv(sock, frames.MAX_HEADER_BYTES)
        except OSError as error:
            raise base.SandboxLost("it hung up") from error
        if not data:
            raise base.SandboxLost("it hung up")
        reader.feed(data)
        found = greeting.next_frame(reader)
        if found is not None:
            if not isinstance(found, frames.Ready) or not found.token or reader.has_part:
                raise base.SandboxLost("it did not say who it is")
            return found


def _take_care(sock: socket.socket) -> None:
    """Send at once what is sent, and notice a machine that has gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
