"""What the process before an agent passes on: whole frames wherever they are cut, and nothing that nobody asked for."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.agent.python.faas_agent import said

RESULT = struct.pack(">BBIQ", 2, 0, 1, 1) + b"id"
OPEN = b'{"t":"open","n":1}'


def frame(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">II", len(header), len(body)) + header + body


@given(st.lists(st.integers(1, 40), min_size=1), st.integers(0, 100))
def test_frames_end_where_they_end_however_they_are_cut(cuts: list[int], body_bytes: int) -> None:
    agent, wholes = said.Said(), 0
    agent.is_asked = True
    stream = frame(OPEN) + frame(OPEN, b"x" * body_bytes) + frame(RESULT, b"x" * body_bytes)
    ends = {len(frame(OPEN)), len(frame(OPEN) + frame(OPEN, b"x" * body_bytes)), len(stream)}
    at = 0
    for size in cuts * len(stream):
        piece = stream[at : at + size]
        assert agent.pass_by(piece) == len(piece)
        at += len(piece)
        assert agent.is_whole == (at in ends or at == 0)
        wholes += agent.is_whole
        if at == len(stream):
            break
    assert not agent.is_asked


@pytest.mark.parametrize(
    "answer",
    [RESULT, b'{"t":"error","id":"i"}', b'{"t":"loaded"}', b'{"t":"load_error"}'],
    ids=["result", "error", "loaded", "load_error"],
)
@pytest.mark.parametrize("more", [b"\0", frame(OPEN), frame(RESULT), b"garbage" * 100])
def test_after_an_answer_nothing_is_passed_on_until_something_is_asked(answer: bytes, more: bytes) -> None:
    agent = said.Said()
    agent.is_asked = True
    whole = frame(answer, b"body")
    assert agent.pass_by(frame(OPEN) + whole + more) == len(frame(OPEN) + whole)
    assert agent.pass_by(more) == 0
    agent.is_asked = True
    assert agent.pass_by(whole) == len(whole)


@pytest.mark.parametrize(
    "header", [b"", b"{", b"[" * 5_000, b'{"t":7}', b'{"t":"unheard of"}', b"\x02", b"\xff\xfe"], ids=repr
)
def test_what_is_no_answer_is_passed_on_for_the_runner_to_judge(header: bytes) -> None:
    agent = said.Said()
    agent.is_asked = True
    assert agent.pass_by(frame(header)) == len(frame(header))
    assert agent.is_whole


def test_a_giant_header_is_not_gathered() -> None:
    agent = said.Said()
    agent.is_asked = True
    data = struct.pack(">II", 1 << 31, 1 << 31) + b"x" * 100_000
    assert agent.pass_by(data) == len(data)
    assert not agent.is_whole
    assert len(agent._header) == 0
