"""The output of a sandbox on another machine: whose it is, how much is kept, and how much may come."""

from __future__ import annotations

import asyncio

import pytest

from faas.core import model
from runners.sandbox import framed_output, frames, output
from tests.eventually import eventually


class Kept:
    """Some output that is framed, and what of it was printed between attempts."""

    def __init__(self, max_log_bytes: int = 64) -> None:
        self.between: list[str] = []
        self.output = framed_output.FramedOutput(
            asyncio.get_running_loop(), max_log_bytes, lambda lines: self.between.extend(line.text for line in lines)
        )

    def add(self, number: int, text: bytes, dropped: int = 0) -> None:
        self.output.add(frames.Output(number, dropped), text)

    def taken(self) -> tuple[list[str], bool]:
        lines, cut = self.output.take()
        return [line.text for line in lines], cut


async def test_output_belongs_to_the_attempt_whose_number_it_has_and_else_to_the_sandbox() -> None:
    kept = Kept()
    kept.add(0, b"before all\n")
    kept.output.begin()
    kept.add(0, b"printed before the first, and come after its begin\n")
    kept.add(1, b"of the first\n")
    assert kept.taken() == (["of the first"], False)
    kept.add(1, b"after its answer\n")
    kept.output.begin()
    kept.add(1, b"still before the second\n")
    kept.add(2, b"of the second\n")
    assert kept.taken() == (["of the second"], False)
    kept.output.close()
    assert kept.between == [
        "before all",
        "printed before the first, and come after its begin",
        "after its answer",
        "still before the second",
    ]


async def test_what_the_sandbox_dropped_is_said_in_the_log() -> None:
    kept = Kept()
    kept.output.begin()
    kept.add(1, b"x" * 60)
    kept.add(1, b"", dropped=1_000_000)
    assert kept.taken() == (["x" * 60, "[log cut: 60 bytes kept, 1000000 bytes dropped]"], True)


async def test_a_sandbox_may_send_what_is_kept_of_each_attempt_and_no_byte_more() -> None:
    kept = Kept()
    for number in (1, 2):
        kept.output.begin()
        kept.add(number, b"x" * framed_output.most_bytes(64))
        lines, cut = kept.taken()
        assert cut
        assert lines[-1] == f"[log cut: 64 bytes kept, {output.BETWEEN_BYTES} bytes dropped]"
    with pytest.raises(frames.BrokenProtocol, match="more output than is kept"):
        kept.add(2, b"x")


@pytest.mark.parametrize("number", [0, 3])
async def test_output_of_the_past_or_the_future_is_none_of_an_agent(number: int) -> None:
    kept = Kept()
    kept.output.begin()
    kept.output.begin()
    kept.add(1, b"x")
    with pytest.raises(frames.BrokenProtocol, match="not now"):
        kept.add(number, b"x")


async def test_what_an_import_printed_and_what_came_after_it_begin_the_first_attempts_log() -> None:
    kept = Kept()
    kept.output.put_first((model.LogLine(1, "imported"),))
    kept.add(0, b"by a thread of the module\n")
    kept.output.begin()
    kept.add(1, b"of the first\n")
    assert kept.taken() == (["imported", "by a thread of the module", "of the first"], False)
    kept.output.begin()
    assert kept.taken() == ([], False)
    assert kept.between == []


async def test_what_is_printed_between_attempts_is_passed_on_though_none_follows() -> None:
    kept = Kept()
    kept.output.begin()
    kept.taken()
    kept.add(1, b"by a thread\n")
    await eventually(lambda: kept.between == ["by a thread"])
