"""The output of a sandbox: lines with times, kept up to a limit."""

from __future__ import annotations

import asyncio
import os

import pytest

from faas.core import model
from runners.sandbox import output
from tests.eventually import eventually


def texts(log: output.Log) -> tuple[list[str], bool]:
    lines, cut = log.take()
    return [line.text for line in lines], cut


def test_lines_have_the_time_at_which_they_began() -> None:
    log = output.Log(100)
    log.add(b"one\ntw", 10)
    log.add(b"o\nthree", 20)
    lines, cut = log.take()
    assert [(line.at_ms, line.text) for line in lines] == [(10, "one"), (10, "two"), (20, "three")]
    assert not cut and log.is_empty


def test_empty_lines_are_kept_and_bytes_that_are_not_text_are_replaced() -> None:
    log = output.Log(100)
    log.add(b"\n\na\xff\0b\n", 1)
    assert texts(log) == (["", "", "a\ufffd\ufffdb"], False)


def test_what_is_over_the_limit_is_dropped_and_said() -> None:
    log = output.Log(64)
    log.add(b"x" * 60 + b"\n" + b"y" * 10, 1)
    log.add(b"z" * 5, 2)
    assert texts(log) == (["x" * 60, "yyy", "[log cut: 64 bytes kept, 12 bytes dropped]"], True)
    assert texts(log) == ([], False)


@pytest.mark.parametrize("line", [b"\n", b"a\n", b"line 12345\n", b"x" * 31 + b"\n", b"x" * 40 + b"\n"])
def test_very_many_short_lines_are_all_kept_several_together(line: bytes) -> None:
    log = output.Log(3200)
    printed = line * (3200 // len(line))
    log.add(printed, 1)
    lines, cut = log.take()
    assert not cut and len(lines) <= 100
    assert "".join(f"{each.text}\n" for each in model.each_line(lines)).encode() == printed


def test_what_is_over_the_limit_is_dropped_of_many_short_lines_too() -> None:
    log = output.Log(3200)
    log.add(b"ab\n" * 2000, 1)
    lines, cut = texts(log)
    assert cut and lines[-1] == "[log cut: 3200 bytes kept, 2800 bytes dropped]"
    assert "\n".join(lines[:-1]) == "ab\n" * 1066 + "ab"


async def test_output_belongs_to_the_attempt_in_which_it_was_printed() -> None:
    reading, writing = os.pipe()
    between: list[str] = []
    kept = output.Output(
        asyncio.get_running_loop(), reading, 1000, lambda lines: between.extend(line.text for line in lines)
    )
    os.write(writing, b"before\n")
    kept.begin()
    os.write(writing, b"during\n")
    assert [line.text for line in kept.take()[0]] == ["during"]
    os.write(writing, b"after\n")
    kept.begin()
    assert kept.take() == ((), False)
    assert between == ["before", "after"]
    kept.close()
    kept.close()
    os.close(writing)


async def test_what_an_import_prints_is_the_first_attempts() -> None:
    reading, writing = os.pipe()
    between: list[str] = []
    kept = output.Output(
        asyncio.get_running_loop(), reading, 1000, lambda lines: between.extend(line.text for line in lines)
    )
    kept.begin()
    os.write(writing, b"imported\n")
    kept.put_first(kept.take()[0])
    os.write(writing, b"by a thread of the import\n")
    kept.begin()
    os.write(writing, b"handled\n")
    assert [line.text for line in kept.take()[0]] == ["imported", "by a thread of the import", "handled"]
    kept.begin()
    assert (kept.take(), between) == (((), False), [])
    kept.close()
    os.close(writing)


async def test_what_an_import_prints_is_told_of_when_there_was_no_attempt() -> None:
    reading, writing = os.pipe()
    between: list[str] = []
    kept = output.Output(
        asyncio.get_running_loop(), reading, 1000, lambda lines: between.extend(line.text for line in lines)
    )
    kept.begin()
    os.write(writing, b"imported\n")
    kept.put_first(kept.take()[0])
    os.write(writing, b"later\n")
    await eventually(lambda: not kept._between.log.is_empty)
    kept.close()
    assert between == ["imported", "later"]
    os.close(writing)


async def test_what_is_printed_after_an_attempt_is_told_of_soon_however_much_it_is() -> None:
    reading, writing = os.pipe()
    between: list[str] = []
    kept = output.Output(
        asyncio.get_running_loop(), reading, 1000, lambda lines: between.extend(line.text for line in lines)
    )
    kept.begin()
    kept.take()
    os.write(writing, b"x" * 50_000 + b"\n")
    await eventually(lambda: len(between) == 2)
    os.write(writing, b"and more\n")
    await eventually(lambda: between[2:] == ["and more"])
    assert len(between[0]) == output.BETWEEN_BYTES
    kept.close()
    os.close(writing)


async def test_a_writer_never_waits_for_a_log_that_is_full() -> None:
    reading, writing = os.pipe()
    kept = output.Output(asyncio.get_running_loop(), reading, 1000, lambda _lines: None)
    kept.begin()
    await asyncio.to_thread(_write, writing, 5 << 20)
    lines, cut = kept.take()
    assert cut and lines[-1].text == f"[log cut: 1000 bytes kept, {(5 << 20) - 1000} bytes dropped]"
    kept.begin()
    os.write(writing, b"again\n")
    assert [line.text for line in kept.take()[0]] == ["again"]
    kept.close()
    os.close(writing)


async def test_a_pipe_that_nobody_writes_to_any_more_is_left_alone() -> None:
    reading, writing = os.pipe()
    loop = asyncio.get_running_loop()
    kept = output.Output(loop, reading, 1000, lambda _lines: None)
    kept.begin()
    os.write(writing, b"last words")
    os.close(writing)
    await eventually(lambda: not loop.remove_reader(reading))
    assert [line.text for line in kept.take()[0]] == ["last words"]
    kept.close()


def _write(descriptor: int, size: int) -> None:
    left = size
    while left:
        left -= os.write(descriptor, b"x" * min(left, 65536))
