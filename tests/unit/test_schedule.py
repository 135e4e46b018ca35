from __future__ import annotations

import datetime
import itertools
import time
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import errors, model
from triggers import schedule

VIENNA = "Europe/Vienna"


def _cron(line: str, zone: str = VIENNA, on_missed: model.OnMissed = model.OnMissed.SKIP) -> model.TimerTrigger:
    return model.TimerTrigger(cron=line, timezone=zone, on_missed=on_missed)


def _every(period_ms: int, on_missed: model.OnMissed = model.OnMissed.SKIP) -> model.TimerTrigger:
    return model.TimerTrigger(every_ms=period_ms, on_missed=on_missed)


def _ms(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def _following(trigger: model.TimerTrigger, after: str, count: int) -> list[str]:
    found, at = [], _ms(after)
    for _ in range(count):
        due = schedule.next_due(trigger, at)
        assert due is not None
        found.append(datetime.datetime.fromtimestamp(due / 1000, zoneinfo.ZoneInfo(trigger.timezone)).isoformat())
        at = due
    return found


def test_a_period_is_due_at_its_multiples_since_the_epoch() -> None:
    assert schedule.next_due(_every(10_000), 25_001) == 30_000
    assert schedule.next_due(_every(10_000), 30_000) == 40_000


def test_a_cron_line_may_begin_with_seconds() -> None:
    found = _following(_cron("*/20 * * * * *", "UTC"), "2026-01-01T00:00:00+00:00", 3)
    assert [moment[17:19] for moment in found] == ["20", "40", "00"]


def test_a_cron_line_means_wall_clock_time_of_its_zone() -> None:
    assert _following(_cron("0 9 * * *"), "2026-03-28T00:00:00+00:00", 2) == [
        "2026-03-28T09:00:00+01:00",
        "2026-03-29T09:00:00+02:00",
    ]


@pytest.mark.parametrize("line", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_in_the_gap_of_spring_runs_once_at_its_end(line: str) -> None:
    assert _following(_cron(line), "2026-03-28T12:00:00+01:00", 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


@pytest.mark.parametrize("line", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_that_comes_twice_in_autumn_runs_the_first_time_only(line: str) -> None:
    assert _following(_cron(line), "2026-10-24T12:00:00+02:00", 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


@pytest.mark.parametrize("line", ["* 5 2 * * *", "30 5 2 * * *", "* 0-59 2 * * *", "0,59 30,31 2 * * *", "5-9 2 * * *"])
def test_all_times_in_the_gap_of_spring_are_one_due_time_seen_from_before_and_from_behind(line: str) -> None:
    trigger, after, end = _cron(line), _ms("2026-03-29T03:30:00+02:00"), _ms("2026-03-29T03:00:00+02:00")
    assert schedule.next_due(trigger, _ms("2026-03-29T01:59:59+01:00")) == end
    assert schedule.next_due(trigger, end) >= _ms("2026-03-30T02:00:00+02:00")
    first, second = itertools.islice(schedule.latest_dues(trigger, after), 2)
    assert (first, second < _ms("2026-03-28T03:00:00+01:00")) == (end, True)
    assert schedule.to_fire(_cron(line, on_missed=model.OnMissed.ALL), after - 7_200_000, after) == [end]


@pytest.mark.parametrize(
    ("line", "zone", "behind"),
    [
        ("* 5 2 L */2 1", VIENNA, "2024-03-31T03:00:00+02:00"),
        ("* 0-59 1-2 * * *", "Antarctica/Troll", "2026-03-29T03:30:00+02:00"),
        ("* 0-59 0-23 * * *", "Pacific/Apia", "2011-12-31T00:30:00+14:00"),
        ("30 0-59 0-22 30 12 *", "Pacific/Apia", "2011-12-31T00:30:00+14:00"),
    ],
)
def test_a_gap_is_passed_in_one_step_however_long_and_however_many_times_are_in_it(
    line: str, zone: str, behind: str
) -> None:
    trigger, now = _cron(line, zone, model.OnMissed.ALL), _ms(behind)
    began_s = time.process_time()
    assert schedule.to_fire(trigger, now - 7_200_000, now)
    # Milliseconds; going through a gap minute by minute for each time in it took from 0.13 s to many.
    assert time.process_time() - began_s < 0.1


def test_between_the_two_hours_of_autumn_the_day_is_done() -> None:
    between = _ms("2026-10-25T02:10:00+01:00")
    assert schedule.next_due(_cron("30 2 * * *"), between) == _ms("2026-10-26T02:30:00+01:00")
    assert next(schedule.latest_dues(_cron("30 2 * * *"), between)) == _ms("2026-10-25T02:30:00+02:00")


def test_a_line_of_intervals_follows_real_time_through_the_fold() -> None:
    assert [moment[11:] for moment in _following(_cron("*/30 * * * *"), "2026-10-25T01:30:00+02:00", 5)] == [
        "02:00:00+02:00",
        "02:30:00+02:00",
        "02:00:00+01:00",
        "02:30:00+01:00",
        "03:00:00+01:00",
    ]


def test_a_date_that_never_comes_is_never_due() -> None:
    assert schedule.next_due(_cron("0 0 31 2,4 1#5", "UTC"), 0) is not None
    with pytest.raises(errors.BadRequest):
        schedule.next_due(_cron("0 0 30 2 *", "UTC"), 0)


@pytest.mark.parametrize(
    ("line", "zone"),
    [
        ("* * *", "UTC"),
        ("99 * * * *", "UTC"),
        ("* * * * *", "Mars/Base"),
        ("* * * * *", "Australia"),
        ("* * * * *", "A/" + "x" * 300),
    ],
)
def test_an_unreadable_timer_is_a_bad_request(line: str, zone: str) -> None:
    with pytest.raises(errors.BadRequest):
        schedule.next_due(_cron(line, zone), 0)


_LINES = ["30 2 * * *", "0 2,3 * * *", "*/15 * * * *", "5 */2 * * *", "10 30 1 * * *", "0 0 2 * * 0", "*/7 2 * * *"]


@given(
    line=st.sampled_from(_LINES),
    zone=st.sampled_from([VIENNA, "America/New_York", "UTC"]),
    start=st.sampled_from(["2026-03-08T00:00Z", "2026-03-28T20:00Z", "2026-04-04T10:00Z", "2026-10-24T20:00Z"]),
    minutes=st.integers(0, 60 * 30),
)
def test_looking_back_finds_what_looking_forward_announced(line: str, zone: str, start: str, minutes: int) -> None:
    trigger = _cron(line, zone)
    begin = _ms(start.replace("Z", "+00:00"))
    until = begin + minutes * 60_000
    forward, at = [], begin
    while (due := schedule.next_due(trigger, at)) is not None and due <= until:
        forward.append(due)
        at = due
    backward = list(itertools.takewhile(lambda due: due > begin, schedule.latest_dues(trigger, until)))
    assert backward[::-1] == forward


@pytest.mark.parametrize(
    ("on_missed", "expected"),
    [
        (model.OnMissed.SKIP, [100_000]),
        (model.OnMissed.ONCE, [90_000, 100_000]),
        (model.OnMissed.ALL, [70_000, 80_000, 90_000, 100_000]),
    ],
)
def test_what_was_missed_fires_as_its_rule_says(on_missed: model.OnMissed, expected: list[int]) -> None:
    assert schedule.to_fire(_every(10_000, on_missed), 60_000, 101_000) == expected


@pytest.mark.parametrize("on_missed", list(model.OnMissed))
def test_a_due_time_noticed_a_little_late_fires_whatever_the_rule(on_missed: model.OnMissed) -> None:
    assert schedule.to_fire(_every(1_000, on_missed), 10_000, 13_500) == [11_000, 12_000, 13_000]


@pytest.mark.parametrize("on_missed", list(model.OnMissed))
def test_nothing_fires_twice_when_the_clock_goes_back(on_missed: model.OnMissed) -> None:
    assert schedule.to_fire(_every(1_000, on_missed), 3_600_000, 10_000) == []


def test_making_up_for_everything_stops_at_the_latest_thousand() -> None:
    fired = schedule.to_fire(_every(1_000, model.OnMissed.ALL), 0, 10_000_999)
    assert fired[-1] == 10_000_000
    assert len([due for due in fired if 10_000_999 - due > schedule.LATE_MS]) == schedule.MOST_MISSED
    assert fired == sorted(fired)


def test_a_year_of_missed_seconds_is_judged_at_once() -> None:
    trigger = _cron("* * * * * *", "UTC", model.OnMissed.ONCE)
    now = _ms("2026-06-01T00:00:00+00:00")
    assert len(schedule.to_fire(trigger, now - 31_536_000_000, now)) == 7
