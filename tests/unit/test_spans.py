"""A time is made up of stored spans, each minute of it once, and of as few as can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faas.store import spans

MINUTE, HOUR, DAY = spans.MINUTE_MS, spans.HOUR_MS, spans.DAY_MS
MINUTES = st.integers(0, 60 * 24 * 400).map(lambda n: n * MINUTE)


@given(MINUTES, MINUTES)
def test_pieces_make_up_the_whole_time_and_no_moment_twice(one: int, other: int) -> None:
    since_ms, until_ms = sorted((one, other))
    at_ms = since_ms
    for piece in spans.pieces(since_ms, until_ms):
        assert piece.since_ms == at_ms < piece.until_ms
        assert piece.since_ms % piece.span_ms == piece.until_ms % piece.span_ms == 0
        at_ms = piece.until_ms
    assert at_ms == until_ms
    assert len(spans.pieces(since_ms, until_ms)) <= 5


@given(MINUTES, MINUTES)
def test_what_is_shorter_than_a_longer_span_at_its_ends_is_read_from_shorter_ones(one: int, other: int) -> None:
    since_ms, until_ms = sorted((one, other))
    counts = dict.fromkeys(spans.ALL, 0)
    for piece in spans.pieces(since_ms, until_ms):
        counts[piece.span_ms] += (piece.until_ms - piece.since_ms) // piece.span_ms
    assert counts[MINUTE] <= 2 * 59
    assert counts[HOUR] <= 2 * 23


def test_a_time_that_ends_now_is_open_and_reads_the_longest_spans() -> None:
    now_ms = 100 * DAY + 5 * HOUR + 7 * MINUTE + 30
    times = spans.aligned(now_ms - 30 * DAY, now_ms, now_ms, {})
    assert spans.pieces(*times[:2]) == [spans.Piece(DAY, 70 * DAY, spans.OPEN_MS)]
    times = spans.aligned(now_ms - 10 * MINUTE, now_ms, now_ms, {})
    assert spans.pieces(*times[:2]) == [
        spans.Piece(MINUTE, 100 * DAY + 4 * HOUR + 57 * MINUTE, 100 * DAY + 5 * HOUR),
        spans.Piece(HOUR, 100 * DAY + 5 * HOUR, 101 * DAY),
        spans.Piece(DAY, 101 * DAY, spans.OPEN_MS),
    ]


def test_the_step_of_a_time_follows_its_length() -> None:
    now_ms = 100 * DAY + 5 * HOUR + 7 * MINUTE + 30
    for length_ms, step_ms in (
        (MINUTE, MINUTE),
        (47 * HOUR, MINUTE),
        (2 * DAY, HOUR),
        (27 * DAY, HOUR),
        (28 * DAY, DAY),
    ):
        times = spans.aligned(now_ms - length_ms, now_ms, now_ms, {})
        assert times.since_ms == (now_ms - length_ms) // step_ms * step_ms
    past = spans.aligned(50 * DAY + 1, 50 * DAY + HOUR + 1, now_ms, {})
    assert past == (50 * DAY, 50 * DAY + HOUR + MINUTE, None)


def test_where_shorter_spans_are_gone_longer_ones_are_read() -> None:
    now_ms, gone = 100 * DAY + 1, {MINUTE: 97 * DAY, HOUR: 10 * DAY}
    assert spans.aligned(99 * DAY + MINUTE, now_ms, now_ms, gone).since_ms == 99 * DAY + MINUTE
    assert spans.aligned(96 * DAY + 61 * MINUTE, 96 * DAY + 62 * MINUTE, now_ms, gone)[:2] == (
        96 * DAY + HOUR, 96 * DAY + 2 * HOUR,
    )  # fmt: skip
    assert spans.aligned(9 * DAY + HOUR, 9 * DAY + 2 * HOUR, now_ms, gone)[:2] == (9 * DAY, 10 * DAY)
    assert spans.cut(96 * DAY, now_ms, MINUTE, now_ms, gone).every_ms == HOUR
    assert spans.cut(96 * DAY, now_ms, 90 * MINUTE, now_ms, gone).every_ms == 2 * HOUR
    assert spans.cut(9 * DAY, now_ms, HOUR, now_ms, gone).every_ms == DAY
    assert spans.cut(98 * DAY, now_ms, MINUTE, now_ms, gone).every_ms == MINUTE


def test_pieces_of_a_series_are_added_up_from_the_longest_spans_that_fit() -> None:
    assert [spans.source(every) for every in (MINUTE, 5 * MINUTE, 90 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY)] == [
        MINUTE, MINUTE, MINUTE, HOUR, HOUR, DAY, DAY,
    ]  # fmt: skip
