"""The runner's side of the wire: frames as structs, and how large a hostile peer may make them.

`docs/reference/agent-protocol.md` describes each frame. What a sandbox sends is decoded strictly: a frame that is not
exactly one of these is a `BrokenProtocol`. The two that every attempt has, `invoke` and `result`, have a header of
fixed form, which costs the agent a third of what JSON does, and so has `output`; all others are JSON.

What one machine passes as descriptors has a second form for a sandbox on another: output and code come in frames, and
the bytes of objects in pieces that the sandbox asks for.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec

from faas.core import groups, model
from faas.core.values import unreadable

PREFIX = struct.Struct(">II")
MAX_HEADER_BYTES = 64 * 1024
MAX_LOAD_HEADER_BYTES = 1024 * 1024
BODY_MARGIN_BYTES = 64 * 1024
PIECE_BYTES = 256 * 1024
"""The most of an object or of code in one frame."""
DESCRIPTOR, STREAM = "descriptor", "stream"
"""The forms of objects."""
OUTPUT_KIND = 3
# Up to here JSON's numbers are whole in every language that an agent may be written in.
_LARGEST = 1 << 53
_INVOKE = struct.Struct(">IIBHHIIII")
_INVOKE_KIND = 1
_RESULT = struct.Struct(">BBIQ")
_RESULT_KIND = b"\x02"
_OUTPUT = struct.Struct(">BIQ")
_OUTPUT_BYTE = bytes((OUTPUT_KIND,))

_Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]


class BrokenProtocol(Exception):
    """The sandbox sent something that its agent never sends."""


class UserFault(msgspec.Struct, frozen=True):
    """An error of user code, as the agent describes it."""

    type: str
    message: str
    stack: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True, tag_field="t", tag="ready"):
    """The agent runs. The descriptor of its output comes along, or the ``token`` that a sandbox elsewhere was given.

    ``objects`` are the forms in which the agent takes objects; ``takes_code`` says that code may come in frames. An
    agent whose descriptors cannot leave its kernel ``wants`` one in place of passing one: that of its ``output``.
    """

    pid: int
    objects: tuple[str, ...] = (DESCRIPTOR,)
    token: str = ""
    takes_code: bool = False
    wants: str = ""


class LoadDone(msgspec.Struct, frozen=True, tag_field="t", tag="loaded"):
    """The handler is callable."""

    init_us: _Count
    mem_kb: _Count


class LoadFailed(msgspec.Struct, frozen=True, tag_field="t", tag="load_error"):
    """The handler could not be imported."""

    init_us: _Count
    mem_kb: _Count
    error: UserFault


class Result(msgspec.Struct, frozen=True):
    """The handler returned."""

    id: str
    us: int
    mem_kb: int
    bytes: bool


class Error(msgspec.Struct, frozen=True, tag_field="t", tag="error"):
    """The handler raised; ``exit`` asks for a fresh process, the last two say whether and when to try again."""

    id: str
    us: _Count
    mem_kb: _Count
    error: UserFault
    exit: bool = False
    no_retry: bool = False
    retry_after_ms: _Count | None = None


class Open(msgspec.Struct, frozen=True, tag_field="t", tag="open"):
    """Open an object for reading (``r``) or writing (``w``)."""

    n: _Count
    bucket: str
    key: str
    mode: str


class Read(msgspec.Struct, frozen=True, tag_field="t", tag="read"):
    """Bytes of what was opened for reading as ``of``."""

    n: _Count
    of: _Count
    offset: _Count
    size: _Count


class Write(msgspec.Struct, frozen=True, tag_field="t", tag="write"):
    """The body belongs at ``offset`` of what was opened for writing as ``of``."""

    n: _Count
    of: _Count
    offset: _Count


class Commit(msgspec.Struct, frozen=True, tag_field="t", tag="commit"):
    """Publish what was opened for writing as ``n``."""

    n: _Count


class Discard(msgspec.Struct, frozen=True, tag_field="t", tag="discard"):
    """Forget what was opened as ``n``. Has no answer."""

    n: _Count


class List(msgspec.Struct, frozen=True, tag_field="t", tag="list"):
    """The keys of a bucket."""

    n: _Count
    bucket: str
    prefix: str = ""
    after: str = ""
    limit: _Count = 1000


class Delete(msgspec.Struct, frozen=True, tag_field="t", tag="delete"):
    """Remove an object."""

    n: _Count
    bucket: str
    key: str


Request = Open | Read | Write | Commit | Discard | List | Delete


class Output(msgspec.Struct, frozen=True):
    """The body was printed, and ``dropped`` bytes more, after so many loads and invokes as ``number`` says."""

    number: int
    dropped: int


class Placed(msgspec.Struct, frozen=True, tag_field="t", tag="placed"):
    """The code that came in frames is in its folder, unless there is an error."""

    error: str = ""


class Exited(msgspec.Struct, frozen=True, tag_field="t", tag="exited"):
    """The agent has ended, with this status as a shell has it; None when it runs on without its connection."""

    status: Annotated[int, msgspec.Meta(ge=0, le=255)] | None


FarEnd = Output | Placed | Exited
"""What the process between an agent and a runner elsewhere says."""

Received = Result | Ready | LoadDone | LoadFailed | Error | Request | FarEnd


class Sizes(msgspec.Struct, frozen=True):
    """What a sandbox is told about the sizes it may use. Output beyond ``output_bytes`` need not be sent."""

    file_bytes: int
    output_bytes: int


class Load(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="load"):
    """Import the handler of a revision; ``code`` is a folder as the sandbox sees it."""

    code: str
    handler: str
    env: dict[str, str]
    function: str
    version: str
    memory_mb: int
    timeout_ms: int
    region: str
    account: str
    max_result_bytes: int
    buckets: dict[str, str]
    network: str
    limits: Sizes
    objects: str = DESCRIPTOR
    style: str = "auto"
    initializer: str | None = None
    pre_stop: str | None = None


class Stop(msgspec.Struct, frozen=True, tag_field="t", tag="stop"):
    """Run what the function wants to be run before its sandbox ends, and end."""


class Code(msgspec.Struct, frozen=True, tag_field="t", tag="code"):
    """The body is the next piece of a tar that belongs into ``folder``; one without bytes is the last."""

    folder: str


class Lent(msgspec.Struct, frozen=True, tag_field="t", tag="lent"):
    """The answer to a `Ready` that wants something; the descriptor comes along."""


class Opened(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="opened"):
    """The answer to `Open`, unless it was refused: a descriptor comes along, or ``size`` says that the bytes travel."""

    n: int
    error: str | None = None
    message: str | None = None
    size: int | None = None


class Done(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="done"):
    """The answer to all other requests."""

    n: int
    error: str | None = None
    message: str | None = None


Sent = Load | Stop | Code | Lent | Opened | Done

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Ready | LoadDone | LoadFailed | Error | Request | Placed | Exited).decode


def most_body_bytes(limits: groups.Sandboxes, *, in_pieces: bool) -> int:
    """The largest body that an agent sends, by whether it sends objects in pieces."""
    largest = max(limits.max_event_bytes, limits.max_result_bytes, PIECE_BYTES if in_pieces else 0)
    return largest + BODY_MARGIN_BYTES


def head(header: Sent, body_bytes: int) -> bytes:
    """A frame up to its body. Raises `ValueError` when the header is over its limit."""
    encoded = _encode(header)
    if len(encoded) > MAX_HEADER_BYTES and (not isinstance(header, Load) or len(encoded) > MAX_LOAD_HEADER_BYTES):
        raise ValueError(f"a header of {len(encoded)} bytes")
    return PREFIX.pack(len(encoded), body_bytes) + encoded


def invoke(invocation: model.Invocation, timeout_ms: int, trace: str) -> bytes:
    """The frame `invoke` up to its body, which is the event. Raises `ValueError` when the header is over its limit."""
    id = invocation.id.encode()
    traced = trace.encode()
    context = invocation.client_context.encode() if invocation.client_context else b""
    size = _INVOKE.size - PREFIX.size + len(id) + len(traced) + len(context)
    if size > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {size} bytes")
    fixed = _INVOKE.pack(
        size,
        len(invocation.event),
        _INVOKE_KIND,
        len(id),
        len(traced),
        timeout_ms,
        invocation.attempt,
        invocation.depth,
        len(context),
    )
    return fixed + id + traced + context


class FrameReader:
    """Cuts what arrives into frames, holding no more than one frame of the largest size and one read."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        # Almost always one read is one frame: it is cut where it lies, and only parts of frames are gathered.
        self._held: bytes | bytearray = b""
        self._wanted = PREFIX.size

    def feed(self, data: bytes) -> None:
        """Take what was read from the socket."""
        if self._held:
            self._held += data
        else:
            self._held = data

    @property
    def has_part(self) -> bool:
        """Whether a frame has begun to come."""
        return bool(self._held)

    @property
    def may_be_output(self) -> bool:
        """Whether the frame that has begun to come may be one of output."""
        return len(self._held) <= PREFIX.size or self._held[PREFIX.size] == OUTPUT_KIND

    def next(self) -> tuple[Received, bytes] | None:
        """The next whole frame, if there is one. Raises `BrokenProtocol`."""
        held = self._held
        if len(held) < self._wanted:
            self._gather(self._wanted)
            return None
        header_bytes, body_bytes = PREFIX.unpack_from(held)
        # Before a byte of it is gathered: whoever announces a gigabyte is cut off at the eighth.
        if header_bytes > MAX_HEADER_BYTES or body_bytes > self._max_body_bytes:
            raise BrokenProtocol(f"a frame of {header_bytes} and {body_bytes} bytes is over the limit")
        begin = PREFIX.size + header_bytes
        end = begin + body_bytes
        if len(held) < end:
            self._gather(end)
            return None
        frame = _header(_cut(held, PREFIX.size, begin)), _cut(held, begin, end)
        self._held = _cut(held, end, len(held)) if len(held) > end else b""
        self._wanted = PREFIX.size
        return frame

    def _gather(self, wanted: int) -> None:
        self._wanted = wanted
        if self._held and not isinstance(self._held, bytearray):
            self._held = bytearray(self._held)


def _cut(held: bytes | bytearray, begin: int, end: int) -> bytes:
    return held[begin:end] if isinstance(held, bytes) else bytes(memoryview(held)[begin:end])


def _header(data: bytes) -> Received:
    # JSON begins with a brace, so that the first byte tells the fixed forms.
    if data[:1] == _RESULT_KIND:
        return _result(data)
    if data[:1] == _OUTPUT_BYTE:
        return _output(data)
    try:
        header: Received = _decode(data)
    except unreadable.ERRORS as error:
        raise BrokenProtocol(f"a header that no agent sends: {error}") from error
    return header


def _result(data: bytes) -> Result:
    try:
        _kind, is_bytes, mem_kb, us = _RESULT.unpack_from(data)
        if is_bytes > 1 or us > _LARGEST:
            raise BrokenProtocol("a result that no agent sends")
        return Result(data[_RESULT.size :].decode(), us, mem_kb, is_bytes == 1)
    except (struct.error, UnicodeDecodeError) as error:
        raise BrokenProtocol(f"a result that no agent sends: {error}") from error


def _output(data: bytes) -> Output:
    try:
        _kind, number, dropped = _OUTPUT.unpack(data)
    except struct.error as error:
        raise BrokenProtocol(f"output that no agent sends: {error}") from error
    if dropped > _LARGEST:
        raise BrokenProtocol("output that no agent sends")
    return Output(number, dropped)
