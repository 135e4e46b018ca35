"""The far end of a channel that carries no descriptors: between the agent and a runner on another machine.

::

    runner ◄──TCP──► this process ◄──socket pair──► the agent, its child
                          ▲──────────pipe of output─────┘

The agent speaks as it does beside its runner. This process, the first of the sandbox, takes the pipe that comes with
`ready` and sends what is printed as frames between those of the agent (`printed`): all that was in the pipe before a
frame of the agent goes before that frame. So nothing is lost when the agent is killed, and it needs no thread for it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

from . import printed, said

PREFIX = struct.Struct(">II")
INVOKE_KIND = 1
MAX_HEADER_BYTES = 1 << 20
READ_BYTES = 1 << 16
DISCARD_EVERY_S = 0.001
EXIT_WITHIN_S = 1.0
SENT_WITHIN_S = 10.0
MOST_LAST_READS = 64
TOKEN_IN = "SANDBOX_TOKEN"  # noqa: S105 - the name of a variable
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))


def stay(link: str) -> socket.socket:
    """Return the agent's end of the connection, in a child. This process relays until either end has gone.

    The link is ``tcp:HOST:PORT``, where the runner listens, or ``fd:N``, a socket that is connected to it. Raises
    `OSError` when nobody answers.
    """
    token = os.environ.pop(TOKEN_IN, "")
    far = _connected(link)
    near, agents = socket.socketpair()
    # The agent is the child: this process has to be the one that hears of its end.
    child = os.fork()
    if child == 0:
        far.close()
        near.close()
        return agents
    agents.close()
    try:
        status = Relay(far, near, child, token).run()
    except (OSError, ValueError) as error:
        print(f"the connection to the platform is over: {error}", file=sys.stderr)
        status = 70
    os._exit(status)


def _connected(link: str) -> socket.socket:
    kind, _, where = link.partition(":")
    if kind == "fd":
        far = socket.socket(fileno=int(where))
    else:
        host, _, port = where.rpartition(":")
        far = socket.create_connection((host.strip("[]"), int(port)), timeout=SENT_WITHIN_S)
    if far.family != socket.AF_UNIX:
        _take_care(far)
    return far


def _take_care(far: socket.socket) -> None:
    """Send at once what is sent, and notice a machine that has gone."""
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            far.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Relay:
    """One connection. Whatever is on its way in one direction is sent before more is read for that direction."""

    def __init__(self, far: socket.socket, near: socket.socket, child: int, token: str) -> None:
        self._far = far
        self._near = near
        self._child = child
        self._token = token
        self._status: int | None = None
        self._ends_at = 0.0
        self._to_far = bytearray()
        self._to_near = bytearray()
        self._header = bytearray()
        self._body_left = 0
        self._agent = said.Said()
        self._woken, waking = socket.socketpair()
        self._printed = printed.Printed(self._to_far)
        for end in (self._woken, waking):
            end.setblocking(False)
        # `select` goes on after a signal; what is written here ends it.
        signal.set_wakeup_fd(waking.detach(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: self._kill(received))
        signal.signal(signal.SIGCHLD, lambda _received, _frame: None)

    def run(self) -> int:
        """Relay until the agent or the runner has gone; the status to exit with. The agent has ended then."""
        try:
            self._reap()
            self._pass_on_ready()
            self._far.setblocking(False)
            self._near.setblocking(False)
            while not self._is_over():
                self._turn()
            self._say_that_it_has_ended()
        finally:
            self._kill(signal.SIGKILL)
        return self._status or 0

    # -- the beginning and the end

    def _pass_on_ready(self) -> None:
        """The agent's first frame, with the word by which the runner knows this sandbox in place of the pipe."""
        data, pipes, _flags, _address = socket.recv_fds(self._near, READ_BYTES, 1)
        if not pipes:
            raise ValueError("the agent ended before it was ready")
        self._printed.open(pipes[0])
        ready = json.loads(data[PREFIX.size :])
        self._far.sendall(_frame({**ready, "token": self._token, "takes_code": True}))

    def _is_over(self) -> bool:
        return bool(self._ends_at) and (self._status is not None or time.monotonic() >= self._ends_at)

    def _end_soon(self) -> None:
        """The agent's end is closed: its exit status says why, if it has one in time."""
        self._ends_at = self._ends_at or time.monotonic() + EXIT_WITHIN_S

    def _say_that_it_has_ended(self) -> None:
        """All that the agent still said, all that was printed, and how it ended."""
        self._far.settimeout(SENT_WITHIN_S)
        for _ in range(MOST_LAST_READS):
            try:
                data = self._near.recv(READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                break
            self._from_agent(data)
        if self._agent.is_whole:
            self._printed.drain()
            self._to_far += _frame({"t": "exited", "status": self._status})
        self._far.sendall(self._to_far)
        self._far.shutdown(socket.SHUT_WR)

    def _kill(self, number: int) -> None:
        if self._status is None:
            try:
                os.kill(self._child, number)
            except ProcessLookupError:
                return

    def _reap(self) -> None:
        """Wait for whatever has ended: the first process of a container has every orphan for its child."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self._child:
                self._status = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self._end_soon()

    # -- what comes

    def _turn(self) -> None:
        ready = self._ready()
        if self._woken.fileno() in ready:
            self._woken.recv(READ_BYTES)
            self._reap()
        if self._far.fileno() in ready:
            self._serve_far(ready[self._far.fileno()])
        if self._near.fileno() in ready:
            self._serve_near(ready[self._near.fileno()])
        if self._printed.is_slowed:
            self._printed.discard()
        elif self._printed.pipe in ready and self._may_print():
            self._printed.take()

    def _may_print(self) -> bool:
        """Whether a frame of output may be sent: none of the agent's is on its way, and there is room."""
        return self._printed.is_awaited and self._agent.is_whole and not self._to_far

    def _ready(self) -> dict[int, int]:
        look = select.poll()
        look.register(self._woken, select.POLLIN)
        look.register(self._far, _wanted(not self._to_near, bool(self._to_far)))
        # What is asked for nothing tells of its end all the same, again and again.
        if not self._ends_at and (self._to_near or not self._to_far):
            look.register(self._near, _wanted(not self._to_far, bool(self._to_near)))
        if self._may_print():
            look.register(self._printed.pipe, select.POLLIN)
        within = DISCARD_EVERY_S if self._printed.is_slowed else EXIT_WITHIN_S if self._ends_at else None
        return dict(look.poll(None if within is None else max(1, int(within * 1000))))

    def _serve_far(self, events: int) -> None:
        if events & select.POLLOUT:
            _send(self._far, self._to_far)
        if events & select.POLLIN:
            data = _received(self._far)
            if data:
                self._from_runner(data)
                _send(self._near, self._to_near)
        if events & (select.POLLHUP | select.POLLERR) or (events & select.POLLIN and data == b""):
            self._kill(signal.SIGKILL)  # the runner has gone, and nobody else has any use for this sandbox
            os._exit(0)

    def _serve_near(self, events: int) -> None:
        if events & select.POLLOUT:
            _send(self._near, self._to_near)
        if events & ~select.POLLOUT and not self._to_far:
            data = _received(self._near)
            if data is None:
                return
            if not data:
                self._end_soon()
                return
            self._from_agent(data)
            _send(self._far, self._to_far)

    def _from_agent(self, data: bytes) -> None:
        if self._agent.is_whole:
            self._printed.drain()
        size = self._agent.pass_by(data)
        self._to_far += data[:size]
        if size < len(data):
            self._kill(signal.SIGKILL)
            self._end_soon()

    def _from_runner(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._body_left:
                size = min(len(view), self._body_left)
                self._body_left -= size
                self._to_near += view[:size]
            else:
                size = min(len(view), _missing(self._header))
                self._header += view[:size]
                if len(self._header) >= PREFIX.size and not _missing(self._header):
                    view = self._on_header(view[size:])
                    continue
            view = view[size:]

    def _on_header(self, rest: memoryview) -> memoryview:
        """Act on a whole header, and pass it on unless it is for this process; what is left of ``rest``."""
        _, body_bytes = PREFIX.unpack_from(self._header)
        kind = self._header[PREFIX.size]
        told: Any = json.loads(self._header[PREFIX.size :]) if kind == ord("{") else {}
        if told.get("t") == "code":
            self._header.clear()
            self._take_code(told, body_bytes, bytes(rest))
            return memoryview(b"")
        if told.get("t") == "load":
            self._printed.begin(int(told["limits"].get("output_bytes", 0)))
            self._agent.is_asked = True
        elif kind == INVOKE_KIND:
            self._printed.begin()
            self._agent.is_asked = True
        self._to_near += self._header
        self._header.clear()
        self._body_left = body_bytes
        return rest

    def _take_code(self, told: dict[str, Any], body_bytes: int, rest: bytes) -> None:
        """Unpack the code that comes in pieces. Nothing else goes on meanwhile: the runner waits for the answer."""
        from . import bundle

        self._far.setblocking(True)
        answer = bundle.taken(self._far, told, body_bytes, rest)
        self._far.setblocking(False)
        self._to_far += _frame(answer)


def _frame(header: dict[str, Any]) -> bytes:
    data = json.dumps(header).encode()
    return PREFIX.pack(len(data), 0) + data


def _missing(header: bytearray) -> int:
    """How many bytes of a prefix, or of the header that it announces, are still to come."""
    if len(header) < PREFIX.size:
        return PREFIX.size - len(header)
    size = int(PREFIX.unpack_from(header)[0])
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {size} bytes")
    return PREFIX.size + size - len(header)


def _wanted(reads: bool, writes: bool) -> int:
    return (select.POLLIN if reads else 0) | (select.POLLOUT if writes else 0)


def _received(sock: socket.socket) -> bytes | None:
    """What has come; None when nothing has, nothing at all when the other end is closed."""
    try:
        return sock.recv(READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send(sock: socket.socket, data: bytearray) -> None:
    """Send what the socket takes. What cannot be sent to an end that has gone is found out by reading."""
    while data:
        try:
            sent = sock.send(data)
        except BlockingIOError:
            return
        except OSError:
            data.clear()
            return
        del data[:sent]
