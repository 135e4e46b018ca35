"""One non-blocking stream socket to an agent: whole frames in, frames out, and descriptors where it is a Unix socket.

A frame is sent in the call that asks for it; the event loop is asked to tell of room only when the socket has none.
"""

from __future__ import annotations

import array
import asyncio
import socket
from typing import Protocol

from runners.sandbox import frames

RECEIVE_BYTES = 64 * 1024
LARGE_BODY_BYTES = 32 * 1024


class Listener(Protocol):
    """Who hears what comes."""

    def on_frame(self, header: frames.Received, body: bytes) -> None:
        """A whole frame. May raise `frames.BrokenProtocol`."""

    def on_part(self) -> None:
        """A part of a frame, whose rest is to come. May raise `frames.BrokenProtocol`."""

    def on_taken(self) -> None:
        """No whole frame is left of what has come."""

    def on_broken(self, reason: str) -> None:
        """What came is not the protocol. The wire has ended."""

    def on_gone(self) -> None:
        """The peer has closed the socket. The wire has ended."""


class Wire:
    """Owns the socket. After `end` it hears and says nothing; `close` gives the descriptor back."""

    def __init__(self, sock: socket.socket, max_body_bytes: int, listener: Listener) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._listener = listener
        self._reader = frames.FrameReader(max_body_bytes)
        self._unsent: list[memoryview] = []
        self._room: asyncio.Future[None] | None = None
        self._is_paused = False
        self.has_ended = False
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self.read)

    @property
    def may_be_output(self) -> bool:
        """Whether the frame of which a part has come may be one of output."""
        return self._reader.may_be_output

    def send(self, head: bytes, body: bytes) -> None:
        """Send now what the socket takes, and the rest when it takes more. Raises `OSError` when the peer has gone."""
        # To copy what is small costs no more than a call with two parts; to copy what is large does.
        is_small = len(body) < LARGE_BODY_BYTES
        try:
            sent = self._socket.send(head + body) if is_small else self._socket.sendmsg([head, body])
        except BlockingIOError:
            sent = 0
        if sent < len(head) + len(body):
            self._keep([head, body], sent)

    async def deliver(self, head: bytes, body: bytes, descriptor: int | None) -> None:
        """Send a frame, with a descriptor if there is one, and wait until the socket has taken all of it.

        Raises `OSError` when the peer has gone; returns when the wire ends meanwhile.
        """
        # It travels with the first byte that is sent, which has to be this frame's own: so nothing else may be unsent.
        rights = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        await self._flushed()
        while not self.has_ended:
            try:
                sent = self._socket.sendmsg([head, body], rights)
            except BlockingIOError:
                await self._has_room()
            else:
                self._keep([head, body], sent)
                await self._flushed()
                return

    def pause(self) -> None:
        """Take nothing more from the peer until `resume`."""
        self._is_paused = True
        self._loop.remove_reader(self._socket.fileno())

    def resume(self) -> None:
        """Go on with the frames that have arrived, then with reading."""
        if self.has_ended:
            return
        self._is_paused = False
        # Frames that were read before the pause lie here, and the socket would not tell of them.
        self._loop.add_reader(self._socket.fileno(), self.read)
        self._take_frames()

    def read(self) -> None:
        """Take what has arrived; called by the event loop, and by who cannot wait for its next turn."""
        if self._is_paused:
            return
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            # A reset says what an end of file does: why is for the place to find out.
            data = b""
        if not data:
            self.end()
            self._listener.on_gone()
            return
        self._reader.feed(data)
        self._take_frames()

    def end(self) -> None:
        """Hear and say nothing more."""
        if self.has_ended:
            return
        self.has_ended = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._unsent.clear()
        self._tell_of_room()

    def close(self) -> None:
        """Close the socket. Safe to call twice."""
        self.end()
        self._socket.close()

    def _take_frames(self) -> None:
        try:
            while self._reader.has_part and not (self._is_paused or self.has_ended):
                frame = self._reader.next()
                if frame is None:
                    self._listener.on_part()
                    break
                self._listener.on_frame(*frame)
        except frames.BrokenProtocol as error:
            self.end()
            self._listener.on_broken(str(error))
        self._listener.on_taken()

    def _keep(self, parts: list[bytes], sent: int) -> None:
        for part in parts:
            if sent < len(part):
                self._unsent.append(memoryview(part)[sent:])
            sent = max(0, sent - len(part))
        if self._unsent:
            self._loop.add_writer(self._socket.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent[0])
                self._unsent[0] = self._unsent[0][sent:]
                if self._unsent[0]:
                    return
                del self._unsent[0]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()  # reading on finds out why
        self._loop.remove_writer(self._socket.fileno())
        self._tell_of_room()

    async def _flushed(self) -> None:
        while self._unsent and not self.has_ended:
            await self._has_room()

    async def _has_room(self) -> None:
        self._room = self._loop.create_future()
        self._loop.add_writer(self._socket.fileno(), self._on_writable)
        await self._room

    def _tell_of_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
