"""Frames over the sandbox's socket.

A frame is two big-endian 32-bit lengths, a header of the first length and a raw body of the second. The headers of
``invoke`` and ``result`` have a fixed form and begin with a byte that names them; all others are JSON. The main thread
reads ``invoke`` frames; while a handler runs, any thread of it may make requests (one at a time), whose answers
that thread reads itself. So a lock is held from request to answer, and by whoever ends the attempt.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, Union

PREFIX = struct.Struct(">II")
INVOKE = struct.Struct(">BHHIIII")
INVOKE_KIND = 1
RESULT = struct.Struct(">IIBBIQ")
RESULT_KIND = 2
MAX_HEADER_BYTES = 1 << 20
MAX_SENT_HEADER_BYTES = 1 << 16
_BUFFER_BYTES = 1 << 16
_LARGE_BODY_BYTES = 1 << 15
_DESCRIPTOR_BYTES = array.array("i").itemsize

_RESULT_FIXED_BYTES = RESULT.size - PREFIX.size

Header = dict[str, Any]
Data = Union[bytes, memoryview]

decode_header = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Closed(Exception):
    """The runner has closed the socket, or there is nothing sensible to be read from it: the agent must exit."""


class Reply(NamedTuple):
    """The answer to a request: its header, its body, and the descriptor that came with it (the caller's to close)."""

    header: Header
    body: bytes
    descriptor: int | None


class Connection:
    """The one connection to the runner."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lock = threading.Lock()
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._request_number = 0
        self._descriptors: list[int] = []
        self.released: list[tuple[int, int]] = []
        """Attempt and number of what was let go of, which the runner hears with the next request."""
        self.attempt_number = 0
        self.busy = False

    @classmethod
    def open(cls, folder: str) -> Connection:
        """Connect to the socket ``s`` of a folder, whose path may be longer than a socket's address may be."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # An address has room for 107 bytes, and the folder's path may have more.
        os.chdir(folder)
        sock.connect("s")
        os.chdir("/")
        return cls.over(sock)

    @classmethod
    def over(cls, sock: socket.socket) -> Connection:
        """The connection that is there already."""
        connection = cls(sock)
        os.register_at_fork(after_in_child=connection._leave_to_parent)
        return connection

    def fileno(self) -> int:
        """The socket's descriptor, for `select`."""
        return self._socket.fileno()

    def receive(self) -> tuple[Data, Data]:
        """The next frame: its header as it came, and its body. Both are valid until the next call. Raises `Closed`."""
        if self._start == self._end:
            data = self._socket.recv(_BUFFER_BYTES)
            # Almost always one read is one frame, which is cut where it lies.
            if len(data) >= PREFIX.size:
                header_bytes, body_bytes = PREFIX.unpack_from(data)
                middle = PREFIX.size + header_bytes
                if header_bytes and len(data) == middle + body_bytes:
                    return data[PREFIX.size : middle], data[middle:]
            self._hold(data)
        return self._read_frame()

    def send(self, header: bytes) -> None:
        """Write one frame without a body. ``header`` is the encoded JSON object."""
        self._socket.sendall(PREFIX.pack(len(header), 0) + header)

    def _send(self, start: bytes, body: bytes) -> None:
        if len(body) < _LARGE_BODY_BYTES:
            self._socket.sendall(start + body)
            return
        # A large body is not copied behind its start; the socket may take a part of it.
        sent = self._socket.sendmsg((start, body))
        if sent < len(start):
            self._socket.sendall(start[sent:])
            sent = len(start)
        self._socket.sendall(memoryview(body)[sent - len(start) :])

    def send_descriptor(self, header: Header, descriptor: int) -> None:
        """Write one frame without a body that carries a descriptor."""
        data = encode_header(header)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        self._socket.sendmsg((PREFIX.pack(len(data), 0), data), rights)

    def lent(self, header: Header) -> int:
        """Write one frame without a body; the descriptor of the answer, which the caller has to close."""
        self.send(encode_header(header))
        self._make_room(PREFIX.size)
        self._end += self._receive_rights(self._view[self._end :])
        self._read_frame()
        if len(self._descriptors) != 1:
            raise Closed("a descriptor was expected")
        return self._descriptors.pop()

    def begin_attempt(self) -> None:
        """From now until `end_attempt`, threads may make requests."""
        self.attempt_number += 1
        self.busy = True

    def end_attempt(self, start: bytes, body: bytes) -> None:
        """Send the attempt's `result`, after whatever request is under way has been answered."""
        with self._lock:
            self.busy = False
            self._send(start, body)

    def fail_attempt(self, header: bytes) -> None:
        """Send the attempt's error, likewise. ``header`` is the encoded JSON object."""
        with self._lock:
            self.busy = False
            self.send(header)

    def request(self, attempt: int, header: Header, body: bytes = b"") -> Reply:
        """Send a request for the attempt and wait for its answer. Raises `RuntimeError` when the attempt is over."""
        with self._lock:
            # Under the lock: the attempt may have ended while this thread waited for it.
            self._refuse_after(attempt)
            self._let_go(attempt)
            self._request_number += 1
            header.setdefault("n", self._request_number)
            data = encode_header(header)
            with _untorn():
                self._send(PREFIX.pack(len(data), len(body)) + data, body)
            return self._await_reply(header["n"])

    def _let_go(self, attempt: int) -> None:
        # What finalisers let go of: they may run anywhere, also within this connection, and so send nothing.
        while self.released:
            of_attempt, number = self.released.pop()
            if of_attempt == attempt:
                self.send(encode_header({"t": "discard", "n": number}))

    def notify(self, attempt: int, header: Header) -> None:
        """Send what needs no answer; nothing is sent when the attempt is over."""
        with self._lock:
            if self.busy and attempt == self.attempt_number:
                self.send(encode_header(header))

    def _refuse_after(self, attempt: int) -> None:
        if self._socket.fileno() < 0:
            raise RuntimeError("the connection to the platform is closed in this process (a forked child has none)")
        if not self.busy or attempt != self.attempt_number:
            raise RuntimeError("buckets can be used only while the invocation runs whose context gave them")

    def _await_reply(self, number: int) -> Reply:
        """Wait for an answer. A signal handler's exception may end that at any time, and leaves all that came whole."""
        reply = None
        try:
            while reply is None:
                if not self._has_frame():
                    select.select([self._socket], [], [])
                with _untorn():
                    reply = self._next_reply(number)
        except BaseException:
            if reply is not None and reply.descriptor is not None:
                os.close(reply.descriptor)
            raise
        return reply

    def _next_reply(self, number: int) -> Reply | None:
        """Take what has come, or a frame that is here; None when that was not the answer."""
        if not self._has_frame():
            self._make_room(self._wanted())
            received = self._receive_rights(self._view[self._end :])
            if not received:
                raise Closed("the runner has gone")
            self._end += received
            return None
        data, body = self._read_frame()
        header = read_header(data)
        if header.get("n") == number:
            return Reply(header, bytes(body), self._descriptor_of(header))
        self.pass_over(header)  # it was asked for by code that an exception tore away
        return None

    def _wanted(self) -> int:
        """How many bytes the next frame takes, as far as that is known."""
        if self._end - self._start < PREFIX.size:
            return PREFIX.size
        header_bytes, body_bytes = PREFIX.unpack_from(self._buffer, self._start)
        # User code has the descriptor too, and may have read a part of what came.
        if not 0 < header_bytes <= MAX_HEADER_BYTES:
            raise Closed(f"a header of {header_bytes} bytes")
        return int(PREFIX.size + header_bytes + body_bytes)

    def _has_frame(self) -> bool:
        held = self._end - self._start
        return held >= PREFIX.size and held >= self._wanted()

    def pass_over(self, header: Header) -> None:
        """Nobody waits for this answer any more."""
        descriptor = self._descriptor_of(header)
        if descriptor is not None:
            os.close(descriptor)

    def _descriptor_of(self, header: Header) -> int | None:
        """The descriptor that an answer came with; one read may have brought it along with another answer."""
        if header.get("t") != "opened" or "error" in header or "size" in header or not self._descriptors:
            return None
        return self._descriptors.pop(0)

    def _read_frame(self) -> tuple[memoryview, memoryview]:
        self._fill(PREFIX.size)
        self._fill(self._wanted())
        header_bytes, body_bytes = PREFIX.unpack_from(self._buffer, self._start)
        begin = self._start + PREFIX.size
        middle = begin + header_bytes
        self._start = middle + body_bytes
        return self._view[begin:middle], self._view[middle : self._start]

    def _hold(self, data: bytes) -> None:
        if not data:
            raise Closed("the runner has gone")
        self._make_room(len(data))
        self._end = self._start + len(data)
        self._view[self._start : self._end] = data

    def _fill(self, size: int) -> None:
        """Read until ``size`` bytes lie between start and end."""
        if self._end - self._start >= size:
            return
        self._make_room(size)
        while self._end - self._start < size:
            received = self._socket.recv_into(self._view[self._end :])
            if not received:
                raise Closed("the runner has gone")
            self._end += received

    def _receive_rights(self, room: memoryview) -> int:
        received, ancillary, _flags, _address = self._socket.recvmsg_into(
            # Room for one: an answer brings no more, and what does not fit is closed by the kernel.
            [room],
            socket.CMSG_SPACE(_DESCRIPTOR_BYTES),
            socket.MSG_CMSG_CLOEXEC,
        )
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._descriptors.extend(array.array("i", data))
        return received

    def _make_room(self, size: int) -> None:
        held = self._end - self._start
        if not held and len(self._buffer) != _BUFFER_BYTES and size <= _BUFFER_BYTES:
            self._renew_buffer(_BUFFER_BYTES)  # gives the memory of a large frame back
        elif not held:
            self._start = self._end = 0
        if len(self._buffer) - self._start < size:
            rest = bytes(self._view[self._start : self._end])
            self._renew_buffer(max(size, _BUFFER_BYTES))
            self._view[:held] = rest
            self._end = held

    def _renew_buffer(self, size: int) -> None:
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def _leave_to_parent(self) -> None:
        """In a forked child: the socket is the parent's alone, and must close when the parent ends."""
        self._socket.close()
        # Another thread of the parent may have held it, and is not there to let go of it.
        self._lock = threading.Lock()


@contextlib.contextmanager
def _untorn() -> Iterator[None]:
    """Hold signals back in this thread: an exception of a handler's must not part what was moved from its count."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:  # a handler that is due already is called in the next line, after the signals are held back
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def parse_invoke(header: Data) -> tuple[bytes, bytes, int, int, int, str]:
    """What an `invoke` says: id and trace in UTF-8, timeout in ms, attempt, depth, client context."""
    _kind, id_bytes, trace_bytes, timeout_ms, attempt, depth, _context_bytes = INVOKE.unpack_from(header)
    middle = INVOKE.size + id_bytes
    end = middle + trace_bytes
    request_id, trace_id = bytes(header[INVOKE.size : middle]), bytes(header[middle:end])
    return request_id, trace_id, timeout_ms, attempt, depth, str(header[end:], "utf-8")


def result_start(request_id: bytes, micros: int, mem_kb: int, body: bytes, raw: bool) -> bytes:
    """The `result` frame up to its body."""
    size = _RESULT_FIXED_BYTES + len(request_id)
    return RESULT.pack(size, len(body), RESULT_KIND, raw, mem_kb, micros) + request_id


def read_header(data: Data) -> Header:
    """The header of a frame that is JSON. Raises `ValueError` and `Closed`."""
    header = decode_header(str(data, "utf-8"))
    if not isinstance(header, dict):
        raise Closed("a header that is no object")
    return header


def encode_header(header: Header) -> bytes:
    """A header as JSON. Raises `ValueError` when it is over the protocol's limit, or no text that UTF-8 can hold."""
    try:
        data = _encode(header).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a name that is no text: {error}") from error
    if len(data) > MAX_SENT_HEADER_BYTES:
        raise ValueError(f"a name of at most {MAX_SENT_HEADER_BYTES} bytes was expected")
    return data
