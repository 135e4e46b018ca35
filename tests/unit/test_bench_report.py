"""The tables that the benchmark prints."""

from __future__ import annotations

import pytest
from rich.console import Console

from tests.bench import report, rounds

_AIM = report.Aim(case="1 client", contender="faas", figure="p50_ms", against="bare", most=3.0)
_COLUMNS = (report.Figure("p50_ms", "p50 ms", 2), report.Figure("per_s", "requests/s", 0))


def _samples(*figures: tuple[str, float]) -> list[rounds.Sample]:
    seen: dict[str, int] = {}
    made = []
    for contender, p50_ms in figures:
        number = seen[contender] = seen.get(contender, -1) + 1
        made.append(rounds.Sample(case="1 client", contender=contender, round=number, figures={"p50_ms": p50_ms}))
    return made


def _text(printed: object) -> str:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(printed)
    return captured.get()


@pytest.mark.parametrize(("ours", "met"), [(2.0, "yes"), (3.0, "yes"), (3.1, "no")])
def test_an_aim_is_met_up_to_its_limit(ours: float, met: str) -> None:
    text = _text(report.aims("Aims", _samples(("faas", ours), ("bare", 1.0)), [_AIM]))
    assert text.splitlines()[-2].rstrip(" │").endswith(met)


def test_an_aim_may_be_a_least_value() -> None:
    aim = report.Aim(case="1 client", contender="faas", figure="per_s", against="bare", least=0.45)
    assert aim.is_met(rounds.Spread(0.5, 0.4, 0.6))
    assert not aim.is_met(rounds.Spread(0.4, 0.3, 0.6))
    assert aim.words == "at least 0.45"


def test_an_aim_may_be_a_ratio_to_another_case_of_the_same_contender() -> None:
    aim = report.Aim(
        case="256 clients", contender="faas", figure="p50_ms", against="faas", against_case="1 client", least=0.9
    )
    many = rounds.Sample(case="256 clients", contender="faas", round=0, figures={"p50_ms": 3.0})
    assert aim.measured([*_samples(("faas", 4.0)), many]) == rounds.Spread(0.75, 0.75, 0.75)
    assert aim.what == "faas: p50_ms / its own at 1 client"


def test_an_aim_may_be_a_figure_itself_in_every_round() -> None:
    aim = report.Aim(case="1 client", contender="faas", figure="p50_ms", most=2, always=True)
    assert aim.verdict(_samples(("faas", 1.0), ("faas", 2.0))) == "yes"
    assert aim.verdict(_samples(("faas", 1.0), ("faas", 1.0), ("faas", 2.1))) == "no"
    assert aim.words == "always at most 2"
    assert aim.what == "faas: p50_ms"


def test_an_aim_whose_contender_was_not_measured_is_not_judged() -> None:
    assert _AIM.measured(_samples(("faas", 1.0))) is None
    assert "-" in _text(report.aims("Aims", _samples(("faas", 1.0)), [_AIM]))


def test_a_figure_is_its_median_with_the_least_and_the_greatest() -> None:
    text = _text(report.figures("Warm", _samples(("faas", 0.5), ("faas", 0.3), ("faas", 0.4)), _COLUMNS))
    assert "0.40 (0.30-0.50)" in text
    assert "requests/s" in text


def test_a_column_may_be_a_ratio_to_one_contender() -> None:
    column = report.Figure("p50_ms", "x bare", 1, against="bare")
    samples = _samples(("faas", 0.6), ("bare", 0.2), ("faas", 0.8), ("bare", 0.4))
    assert column.cell(samples, "1 client", "faas") == "2.5 (2.0-3.0)"
    assert column.cell(samples, "1 client", "bare") == "1.0 (1.0-1.0)"
    assert column.cell(_samples(("faas", 0.6)), "1 client", "faas") == "-"


def test_a_column_may_show_medians_only() -> None:
    column = report.Figure("p50_ms", "p50", 1, has_spread=False)
    assert column.cell(_samples(("faas", 0.5), ("faas", 0.3), ("faas", 0.4)), "1 client", "faas") == "0.4"


def test_wrong_answers_are_told() -> None:
    good = rounds.Sample(case="1 client", contender="bare", round=0, figures={"wrong": 0})
    bad = rounds.Sample(case="1 client", contender="faas", round=0, figures={"wrong": 7})
    assert report.complaints([good, bad]) == ["note: 1 client, faas: 7 answers were wrong; do not trust this row"]
