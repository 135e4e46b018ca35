"""One connection of a client: its requests are read, answered in order, and cut when they do not come.

::

                 ┌──────────────────────────── answered, and read ◄──┐
                 ▼                                                   │
    HEAD ──► AWAITING ──bytes──► HEAD ──whole──► BODY ──whole──► RUNNING ──answered──► UNREAD
      │         │                 │               │                  │                    │
      └─too late┴────too late─────┘        (408)──┴──────────────────┴──last answer──► PARTING ──► closed

One request at a time: what comes behind it stays in the buffer as bytes, and beyond a bound is not read from the
socket. A client that has sent its last (a half-closed connection) still gets its answers.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
import socket
import struct
from typing import Protocol, cast

from faas.core import errors
from faas.core.http import replies
from triggers.gateway import answering, gateway, identity, inbox, request, running

_AHEAD_BYTES = 65_536
"""How much may have been read of what comes behind the request that is being answered."""
_LINGER_S = 1.0
_SLOWEST_BYTES_S = 8_192
"""A client that reads its answer slower than this, and not within the time for small ones, is cut."""
_LITTLE_BYTES = 16_384
"""What is held of less than this is not counted: all connections that there may be hold a bounded amount of it."""
_REQUESTS_AT_ONCE = 32
"""How many requests that came together are looked at before others have their turn."""
_KNOWN_BYTES = 2_048
"""The longest head that a connection remembers."""
_NEVER = math.inf
_AT_ONCE = struct.pack("ii", 1, 0)
"""Closing resets the connection."""

_log = logging.getLogger("faas.gateway")


class State(enum.Enum):
    """What a connection waits for; see above."""

    AWAITING = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    RUNNING = enum.auto()
    UNREAD = enum.auto()
    PARTING = enum.auto()


# As names of this module: to look one up in its class takes longer than all that is decided by it.
_AWAITING, _HEAD, _BODY = State.AWAITING, State.HEAD, State.BODY
_RUNNING, _UNREAD, _PARTING = State.RUNNING, State.UNREAD, State.PARTING
_READS = (_AWAITING, _HEAD, _BODY)
"""In these a request is read; in the others what comes has to wait."""


class ConnectionCounter(Protocol):
    """Where connections are counted; `faas.serving.server.Server` is it."""

    is_leaving: bool
    """Each connection ends with its next answer."""

    def admit(self, connection: Connection) -> errors.FaasError | None:
        """Count a new connection, or say why there is no room for it."""

    def dismiss(self, connection: Connection) -> None:
        """The connection is gone."""

    def hold(self, connection: Connection, held_bytes: int) -> None:
        """Count how many of the client's bytes are kept for it now."""


class Connection(asyncio.Protocol):
    """One client's requests. `look` must be called now and then: that is when too slow clients are cut."""

    __slots__ = (
        "_asked", "_client_ip", "_crossing", "_gateway", "_has_ended", "_head", "_home", "_inbox", "_is_behind",
        "_is_full",
        "_is_held", "_is_turning", "_keep_s", "_known", "_known_bytes", "_loop", "_receive_s", "_running", "_since",
        "_state", "_transport", "_unread_bytes", "_unread_since", "_until", "held_bytes",
    )  # fmt: skip

    def __init__(self, home: ConnectionCounter, served: gateway.Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self._home = home
        self._gateway = served
        self._loop = loop
        self._receive_s = served.limits.receive_timeout_ms / 1000
        self._keep_s = served.limits.keep_alive_ms / 1000
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._client_ip = ""
        self._inbox = inbox.Inbox()
        self._state = _HEAD
        self._since = loop.time()
        self._until = self._since + self._receive_s
        """When the state has lasted too long."""
        self.held_bytes = 0
        self._unread_bytes, self._unread_since = 0, 0.0
        """What the client had to read still when it last read something, and when that was."""
        self._head: request.Head | None = None
        """Of the request whose body, or answer, is awaited."""
        self._asked: gateway.Resolved | None = None
        """What the last head asked for."""
        self._crossing = ""
        """The header lines that browsers want of the answer that is to be sent."""
        self._known = b""
        """That head as it came, if it may be remembered."""
        self._known_bytes = -1
        """How long a request with that head is."""
        self._running: running.Running | None = None
        self._is_turning = False
        self._is_behind = False
        """What has come is looked at on, after others have had their turn."""
        self._is_held = False
        """Nothing is read from the socket."""
        self._is_full = False
        """The client has not read what was written."""
        self._has_ended = False
        """The client sends nothing more."""

    # -- what the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        refusal = self._home.admit(self)
        if refusal is not None:
            self._refuse(refusal)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        # A client that calls again sends the same head byte for byte: then nothing of it has to be read.
        if self._state is _AWAITING and len(data) == self._known_bytes and data.startswith(self._known):
            asked = self._asked
            if asked is not None and asked.table is self._gateway.table() and not self._is_behind:
                self._start(asked, data[len(self._known) :])
                return
        if self._state is _PARTING:
            return
        self._inbox.add(data)
        if self._state in _READS and not self._is_behind:
            self._turn()
        else:
            self._hold_back()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. The connection stays open as long as an answer is to be sent."""
        self._has_ended = True
        if self._state is _RUNNING and self._head is not None and self._head.version == "1.1":
            # A client that has gone looks like one that only sends no more, until something is sent to it.
            self._transport.write(answering.CONTINUE)
        return self._is_behind or self._state in (_RUNNING, _UNREAD)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_full = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_full = False
        self._count()
        if self._state is _UNREAD:
            self._await_next()
            self._turn()

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        self._state = _PARTING
        self._home.dismiss(self)
        one, self._running = self._running, None
        if one is not None:
            one.hang_up()

    # -- what the server says

    def look(self, now: float) -> None:
        """Cut a client that is too slow, or of which it is found that it has gone."""
        if self._is_full and self._reads_nothing(now):
            self._cut()
        elif now < self._until:
            if self._has_ended and self._state is _RUNNING and self._is_reset():
                self._transport.abort()
        elif self._state is _BODY:
            within_ms = self._gateway.limits.receive_timeout_ms
            self._refuse(errors.TooSlow(f"the body has not come within {within_ms} ms"))
        else:
            self._cut()

    @property
    def address(self) -> str:
        """See `faas.serving.server.ClientConnection`; connections of one customer come from one."""
        return identity.of_address(self._ip()) or ""

    @property
    def waits_since(self) -> float | None:
        """See `faas.serving.server.ClientConnection`."""
        is_free = self._state is _RUNNING or (self._state is _PARTING and not self._is_full)
        return None if is_free and not self._is_held else self._since

    def make_room(self) -> None:
        """End at once: others need the room. Who is sending something hears why."""
        if self._is_full or self._state not in _READS:
            self._cut()
        elif self._state is _AWAITING:
            self._part()
        else:
            hint = "see the settings max_connections and max_connection_bytes"
            self._refuse(errors.Unavailable("this gateway has no room for requests that come slowly", hint=hint))

    def end(self) -> None:
        """Close the connection, unless an answer is still to be sent: then it ends with that."""
        if self._state in _READS:
            self._part()

    def abort(self) -> None:
        """Break the connection off."""
        self._transport.abort()

    # -- requests

    def _turn(self) -> None:
        """Start what has come whole, one after the other, as far as they are answered at once."""
        # An answer that is ready at once calls this again, from within: the loop below takes what is next.
        if self._is_turning:
            return
        self._is_turning = True
        is_over = False
        try:
            for _ in range(_REQUESTS_AT_ONCE):
                if self._state not in _READS or not self._take():
                    is_over = not self._inbox.is_behind
                    break
        except errors.FaasError as error:
            self._refuse(error)
        except Exception:  # noqa: BLE001 - whatever is not foreseen costs its own connection only
            _log.exception("connection_failed")
            self._refuse(errors.FaasError("the gateway failed; see its log"))
        finally:
            self._is_turning = False
        self._count()
        if self._state in _READS:
            if not is_over:
                self._go_on_soon()
            elif self._has_ended:
                self._part()  # what is left is no whole request
            elif self._is_held:
                self._is_held = False
                self._transport.resume_reading()

    def _go_on_soon(self) -> None:
        if not self._is_behind:
            self._is_behind = True
            self._loop.call_soon(self._go_on)
        self._hold_back()

    def _go_on(self) -> None:
        self._is_behind = False
        self._turn()

    def _hold_back(self) -> None:
        """Read nothing more from a client of whom enough has come for now."""
        if len(self._inbox) > _AHEAD_BYTES and not self._is_held:
            self._is_held = True
            self._transport.pause_reading()
            self._count()

    def _take(self) -> bool:
        """Take a request that has come whole. Raises `errors.FaasError` for what the connection ends with."""
        if self._state is not _BODY:
            raw = self._take_head()
            if raw is None:
                return False
            if not self._ask(raw):
                return True
        return self._take_body()

    def _take_head(self) -> bytes | None:
        self._head = None
        raw = self._inbox.take_head()
        if raw is None and self._state is _AWAITING and self._inbox:
            self._wait(_HEAD, self._receive_s)
        return raw

    def _ask(self, raw: bytes) -> bool:
        """Find out what a head asks for; False when it was answered with a refusal."""
        asked = self._asked
        if asked is None or raw != self._known or asked.table is not self._gateway.table():
            self._known, self._known_bytes = b"", -1
            self._head = head = request.read_head(raw)
            is_whole = self._inbox.has_body(head)
            try:
                self._asked = asked = self._gateway.asked(head, self._ip())
            except errors.FaasError as error:
                if not is_whole:
                    raise
                self._inbox.take_body(head, 0)
                self._crossing = self._gateway.crossing(head)
                self._gateway.fresh(self._answered).fail(error)
                return False
            # By the length of the whole it is told from another request with the same begin.
            if len(raw) <= _KNOWN_BYTES and not head.is_chunked:
                self._known, self._known_bytes = raw, len(raw) + head.length
        self._head = asked.head
        if not self._inbox.has_body(asked.head):
            self._await_body(asked.head)
        return True

    def _await_body(self, head: request.Head) -> None:
        self._wait(_BODY, self._receive_s)
        if head.expects_continue and not self._inbox:
            self._transport.write(answering.CONTINUE)

    def _take_body(self) -> bool:
        if self._asked is None:
            return False
        try:
            body = self._inbox.take_body(self._asked.head, self._gateway.limits.max_event_bytes)
        except OverflowError as error:
            raise self._gateway.too_large() from error
        if body is not None:
            self._start(self._asked, body)
        return body is not None

    def _start(self, asked: gateway.Resolved, body: bytes) -> None:
        self._state, self._until = _RUNNING, _NEVER
        self._head, self._crossing = asked.head, asked.crossing
        self._running = one = self._gateway.fresh(self._answered)
        self._gateway.start(one, asked, body)

    # -- answers

    def _answered(self, invocation_id: str, reply: replies.Reply) -> None:
        """Send an answer, and go on with the next request."""
        self._running, head = None, self._head
        if head is None or self._transport.is_closing():
            return
        ends = self._home.is_leaving or not head.keeps_alive
        keeps = head.version == "1.0" and not ends
        to_head = head.method == "HEAD"
        self._transport.write(
            answering.encoded(reply, invocation_id, ends=ends, keeps=keeps, to_head=to_head, crossing=self._crossing)
        )
        if self._is_full:
            self._count()
        if ends:
            self._part()
            return
        self._await_next()
        if self._inbox or self._has_ended or self._is_held:
            self._turn()

    def _await_next(self) -> None:
        if self._is_full:
            self._wait(_UNREAD, self._receive_s + self._reading_s())
        else:
            self._since = now = self._loop.time()
            self._state, self._until = _AWAITING, now + self._keep_s

    def _refuse(self, error: errors.FaasError) -> None:
        """Answer what cannot be read to its end, and read no more of it."""
        invocation_id = self._gateway.fresh(self._answered).invocation_id
        reply = answering.of_error(error, invocation_id)
        to_head = self._head is not None and self._head.method == "HEAD"
        crossing = "" if self._head is None else self._gateway.crossing(self._head)
        self._transport.write(answering.encoded(reply, invocation_id, ends=True, to_head=to_head, crossing=crossing))
        self._part(lingers=True)

    def _part(self, *, lingers: bool = False) -> None:
        """Close once everything is sent. ``lingers``: what the client still sends is read and dropped for a moment,
        as closing on it would take the answer back."""
        self._wait(_PARTING, (_LINGER_S if lingers else self._receive_s) + self._reading_s())
        if not lingers or self._has_ended:
            self._transport.close()
            return
        self._transport.write_eof()
        if self._is_held:
            self._is_held = False
            self._transport.resume_reading()

    def _wait(self, state: State, within_s: float) -> None:
        self._since = self._loop.time()
        self._state, self._until = state, self._since + within_s

    def _count(self) -> None:
        """Tell how much is held for the client; little is not worth it."""
        held = 0 if self._state is _PARTING else self._inbox.held_bytes
        held += self._transport.get_write_buffer_size() if self._is_full else 0
        if held < _LITTLE_BYTES:
            held = 0
        if held != self.held_bytes:
            self._home.hold(self, held)

    def _reads_nothing(self, now: float) -> bool:
        """Whether the client has read nothing for so long that it will not."""
        left = self._transport.get_write_buffer_size()
        if left != self._unread_bytes:
            self._unread_bytes, self._unread_since = left, now
        return now - self._unread_since > self._receive_s

    def _reading_s(self) -> float:
        """For how long the client may take to read what it has not read yet."""
        return self._transport.get_write_buffer_size() / _SLOWEST_BYTES_S

    def _cut(self) -> None:
        if self._transport.get_write_buffer_size():
            # Else the kernel would go on trying to send what it has, to who does not read.
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._transport.abort()

    def _socket(self) -> socket.socket:
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    def _ip(self) -> str:
        if not self._client_ip:
            peer = self._transport.get_extra_info("peername")
            self._client_ip = str(peer[0]) if peer else ""
        return self._client_ip

    def _is_reset(self) -> bool:
        """Whether the client refused the word that was sent to it after it had sent its last."""
        try:
            return bool(self._socket().getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        except OSError:
            return True
