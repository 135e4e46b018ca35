"""What the benchmark writes into the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import machine, marked
from tests.bench import __main__ as command
from tests.bench import page, report, rounds

_COLUMNS = (report.Figure("per_s", "requests/s", 0),)
_AIMS = (
    report.Aim(case="8 clients", contender="faas", figure="per_s", against="bare", least=0.5),
    report.Aim(case="8 clients", contender="faas", figure="per_s", against="nobody", least=1.0),
)


def _samples(**per_s: float) -> list[rounds.Sample]:
    return [
        rounds.Sample(case="8 clients", contender=name, round=0, figures={"per_s": value})
        for name, value in per_s.items()
    ]


def test_the_tables_hold_the_figures_and_the_aims_that_were_measured() -> None:
    text = page.tables(_samples(bare=4_000, faas=1_000), _COLUMNS, _AIMS, ["note: a line"])
    assert text.splitlines() == [
        "| | | requests/s |",
        "| --- | --- | ---: |",
        "| 8 clients | bare | 4,000 (4,000-4,000) |",
        "| | faas | 1,000 (1,000-1,000) |",
        "",
        "| | | aim | measured | met |",
        "| --- | --- | ---: | ---: | ---: |",
        "| 8 clients | faas: per_s / bare | at least 0.5 | 0.25 (0.25-0.25) | **no** |",
        "",
        "note: a line",
    ]


def test_a_part_is_written_into_its_place_only(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# P\n\n<!-- bench:cpu -->\n<!-- /bench:cpu -->\n\n<!-- bench:http -->\nkept\n<!-- /bench:http -->\n"
    )
    page.write("cpu", "2 processors", "| a |", path)
    assert marked.between(path.read_text(), "bench:cpu") == "*2 processors.*\n\n| a |"
    assert marked.between(path.read_text(), "bench:http") == "kept"


@pytest.mark.parametrize("name", list(command.PARTS))
def test_the_page_has_a_place_for_each_part(name: str) -> None:
    assert marked.between(page.PATH.read_text(), f"bench:{name}")


def test_a_version_is_told_by_its_number() -> None:
    assert machine.number("6.1.0-18-amd64") == "6.1.0"
    assert machine.number("20.10.24+dfsg1") == "20.10.24"
