"""What people look at, on a ledger that has much in it: seconds of commands and of pages, and what happens meanwhile.

Also what figures over time and chains cost whoever records: records a second with and without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import (
    observe_ledger,
    observe_live,
    observe_on,
    observe_recording,
    observe_rows,
    report,
    rounds,
    wanted,
)

DEFAULT_ROWS = 10_000_000
HOME = Path(__file__).parents[2] / ".faas" / "bench-observe"
_FAAS = "faas"
_WATCHED, _WITH, _WITHOUT = "watched", observe_recording.WITH, observe_recording.WITHOUT
_LINE, _ALARM, _CALL = "a line is printed", "a call fails that an alarm is on", "a warm call"
FIGURES = (
    report.Figure("s", "seconds", 3),
    report.Figure("ms", "ms", 0),
    report.Figure("per_s", "records/s", 0),
    report.Figure("us", "CPU, µs", 0),
)
AIMS = (
    *(report.Aim(case=row.name, contender=_FAAS, figure="s", most=1.0) for row in observe_rows.ROWS),
    report.Aim(case=_LINE, contender=_FAAS, figure="ms", most=200),
    report.Aim(case=_ALARM, contender=_FAAS, figure="s", most=observe_live.INTERVAL_S),
    report.Aim(case=_CALL, contender=_WITH, figure="us", against=_WITHOUT, most=1.1),
    *(
        report.Aim(case=case, contender=_WITH, figure="per_s", against=_WITHOUT, least=0.8)
        for case in observe_recording.CASES
    ),
)


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples. To make the ledger takes some minutes, once."""
    rows = asked.rows or DEFAULT_ROWS
    root = HOME / str(rows)
    observe_ledger.ensure(root, rows, say)
    say("observe: starting the platform")
    with observe_on.platform(root, rows) as on:
        found = [*_looked(on, asked.rounds, say), *_live(on, home / "watched", asked.rounds, say)]
    recorded = list(_recorded(home, asked.rounds, say))
    return [*found, *_calls(found, recorded), *recorded]


def notes() -> list[str]:
    """Nothing is left out here."""
    return []


def _looked(on: observe_on.On, count: int, say: Callable[[str], None]) -> Iterator[rounds.Sample]:
    for number in range(count):
        for row in observe_rows.ROWS:
            say(f"observe: round {number + 1} of {count}, {row.name}")
            yield _sample(row.name, _FAAS, number, s=observe_on.took_s(lambda: row.look(on)))  # noqa: B023


def _live(on: observe_on.On, project: Path, count: int, say: Callable[[str], None]) -> Iterator[rounds.Sample]:
    observe_live.deploy(on, project, count)
    for number in range(count):
        say(f"observe: round {number + 1} of {count}, live")
        yield _sample(_LINE, _FAAS, number, ms=observe_live.shown_ms(on, number))
        yield _sample(_ALARM, _FAAS, number, s=observe_live.fired_after_s(on, number))
    for number, name in rounds.turns([_WATCHED, _WITH], count):
        say(f"observe: round {number + 1} of {count}, a warm call, {name}")
        yield _sample(_CALL, name, number, us=observe_live.call_us(on, number, is_watched=name == _WATCHED))


def _calls(live: list[rounds.Sample], recorded: list[rounds.Sample]) -> Iterator[rounds.Sample]:
    """What warm calls would cost without figures and chains: they cost whoever records, and nobody else."""
    case = next(iter(observe_recording.CASES))
    more = {name: rounds.figure(recorded, case, name, "us") for name in (_WITH, _WITHOUT)}
    for number, us in rounds.figure(live, _CALL, _WITH, "us").items():
        yield _sample(_CALL, _WITHOUT, number, us=us - more[_WITH][number] + more[_WITHOUT][number])


def _recorded(home: Path, count: int, say: Callable[[str], None]) -> Iterator[rounds.Sample]:
    contenders = [_WITH, _WITHOUT]
    for place, (case, of) in enumerate(observe_recording.CASES.items()):
        for number, name in rounds.turns(contenders, count):
            say(f"observe: round {number + 1} of {count}, {case} {name}")
            has_all = name == _WITH
            per_s = observe_recording.per_s(home / f"{place}-{has_all}-{number}", of, has_all=has_all)
            yield _sample(case, name, number, per_s=per_s, us=1e6 / per_s)


def _sample(case: str, contender: str, number: int, **figures: float) -> rounds.Sample:
    return rounds.Sample(case=case, contender=contender, round=number, figures=figures)
