"""What one function may add to the platform's log, and that others and the platform itself are not cut by it."""

from __future__ import annotations

import io
import logging

import pytest

from faas.cli import log_format, log_shares
from faas.core import clock


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def steady_s(self) -> float:
        return self.now_s


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clock, "steady_s", made.steady_s)
    return made


def logger(most_bytes: int) -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    handler = log_shares.Handler(most_bytes, written)
    handler.setFormatter(log_format.EventFormatter())
    made = logging.Logger("test")
    made.addHandler(handler)
    return made, written


def test_a_function_that_prints_without_end_fills_no_more_than_its_share(time: Clock) -> None:
    log, written = logger(64 * 1024)
    for _ in range(10_000):
        log.info("sandbox_output", extra={"function": "loud@1", "text": "x" * 1_000})
    assert 60 * 1024 < len(written.getvalue()) < 64 * 1024 + log_shares.LINE_BYTES + 200


def test_another_function_and_the_platform_itself_are_heard_meanwhile(time: Clock) -> None:
    log, written = logger(4 * 1024)
    for _ in range(100):
        log.info("sandbox_output", extra={"function": "loud@1", "text": "x" * 1_000})
    log.info("sandbox_output", extra={"function": "quiet@1", "text": "here"})
    log.warning("redis_away")
    assert "quiet@1" in written.getvalue()
    assert "redis_away" in written.getvalue()


def test_all_revisions_of_a_function_share_and_so_do_all_kinds_of_lines(time: Clock) -> None:
    log, written = logger(2 * 1024)
    for number in range(100):
        log.info("sandbox_output", extra={"function": f"loud@{number}", "text": "x" * 100})
        log.warning("slot_not_made", extra={"revision": f"loud@{number}", "reason": "x" * 100})
    assert len(written.getvalue()) < 3 * 1024


def test_what_was_left_out_is_counted_once_there_is_room_again(time: Clock) -> None:
    log, written = logger(4 * 1024)
    for _ in range(100):
        log.info("sandbox_output", extra={"function": "loud@1", "text": "x" * 1_000})
    kept = written.getvalue().count("sandbox_output")
    time.now_s += 60
    log.info("sandbox_output", extra={"function": "loud@1", "text": "again"})
    assert f"log_lines_left_out function=loud lines={100 - kept}" in written.getvalue()
    assert written.getvalue().endswith("text=again\n")


def test_a_line_without_end_is_cut_whoever_it_belongs_to(time: Clock) -> None:
    log, written = logger(64 * 1024)
    log.error("failed", extra={"reason": "y" * 10_000_000})
    log.error("failed", extra={"function": "f", "reason": "y" * 10_000_000})
    assert len(written.getvalue()) < 2 * log_shares.LINE_BYTES + 200
    assert written.getvalue().count("[cut: 100000") == 2


def test_without_a_bound_everything_is_written(time: Clock) -> None:
    log, written = logger(0)
    for _ in range(1_000):
        log.info("sandbox_output", extra={"function": "loud@1", "text": "x" * 1_000})
    assert written.getvalue().count("\n") == 1_000


def test_a_million_names_are_not_all_remembered(time: Clock) -> None:
    shares = log_shares.LogShares(1024)
    for number in range(50_000):
        shares.of(f"f{number}", time.now_s)
    assert len(shares._shares) <= 10_000
