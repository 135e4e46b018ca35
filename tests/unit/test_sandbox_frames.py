"""The wire format: frames are found however they are cut, and what no agent sends is refused early."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import model
from runners.sandbox import frames
from tests import agent_harness

RESULT = struct.pack(">BBIQ", 2, 1, 7, 5) + b"i"
DISCARD = b'{"t":"discard","n":1}'


def frame(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">II", len(header), len(body)) + header + body


@given(st.lists(st.integers(1, 40), min_size=1))
def test_frames_are_found_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    stream = frame(RESULT, b"body") + frame(DISCARD)
    reader, found = frames.FrameReader(100), []
    while stream:
        size = cuts[len(found) % len(cuts)]
        reader.feed(stream[:size])
        stream = stream[size:]
        while (got := reader.next()) is not None:
            found.append(got)
    assert found == [(frames.Result("i", 5, 7, True), b"body"), (frames.Discard(1), b"")]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", frames.MAX_HEADER_BYTES + 1, 0),
        struct.pack(">II", 10, 101),
        frame(b"garbage"),
        frame(b"\xff\xfe"),
        frame(b'{"t":"unheard of"}'),
        frame(b'{"t":"error","id":"i","us":-1,"mem_kb":7,"error":{"type":"E","message":""}}'),
        frame(b'{"t":"error","id":"i","us":1e300,"mem_kb":7,"error":{"type":"E","message":""}}'),
        frame(b'{"t":"result","id":"i","us":1,"mem_kb":7,"bytes":false}'),
        frame(b""),
        frame(b"\x01"),
        frame(RESULT[:13]),
        frame(struct.pack(">BBIQ", 3, 0, 7, 5) + b"i"),
        frame(struct.pack(">BBIQ", 2, 2, 7, 5) + b"i"),
        frame(struct.pack(">BBIQ", 2, 0, 7, (1 << 53) + 1) + b"i"),
        frame(struct.pack(">BBIQ", 2, 0, 7, 5) + b"\xff"),
        frame(b'{"t":"open","n":1,"bucket":"b"}'),
        frame(b"[" * 5000),
        frame(b'{"t":"discard","n":1,"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),
    ],
)
def test_what_no_agent_sends_is_refused(data: bytes) -> None:
    reader = frames.FrameReader(100)
    reader.feed(data)
    with pytest.raises(frames.BrokenProtocol):
        reader.next()


def test_a_header_over_its_limit_is_not_sent() -> None:
    with pytest.raises(ValueError, match="header"):
        frames.head(frames.Done(1, "Failed", "x" * frames.MAX_HEADER_BYTES), 0)


def test_an_invoke_says_what_the_agent_reads() -> None:
    invocation = model.Invocation(
        id="an-id",
        function="f",
        revision=1,
        trigger="http",
        mode=model.Mode.SYNC,
        event=b"[1]",
        accepted_at_ms=1,
        attempt=2,
        depth=3,
        client_context='{"ü":1}',
    )
    made = frames.invoke(invocation, 4000, "Root=1")
    header = agent_harness.invoke_header("an-id", 4000, "Root=1", 2, 3, '{"ü":1}')
    assert made + b"[1]" == frame(header, b"[1]")


def test_an_invoke_over_the_limit_of_headers_is_not_sent() -> None:
    invocation = model.Invocation(
        id="i",
        function="f",
        revision=1,
        trigger="http",
        mode=model.Mode.SYNC,
        event=b"1",
        accepted_at_ms=1,
        client_context="x" * frames.MAX_HEADER_BYTES,
    )
    with pytest.raises(ValueError, match="header"):
        frames.invoke(invocation, 1, "")
