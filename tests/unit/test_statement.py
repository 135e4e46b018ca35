"""Statements: CSV that is exact and no formula, HTML that is escaped and needs nothing else."""

from __future__ import annotations

import csv
import html.parser
import io
from typing import Any

import pytest

from faas.cli import statement

THERE = {"there_pico": 5, "there_decimal": "0.000000000005"}


def line(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "count": 3, "billed_count": 2, "billed_ms": 1_500, "mb_ms": 192_000, "cpu_us": 2_500,
        "cost_pico": 433_334, "cost_decimal": "0.000000433334", "there_pico": None, "there_decimal": None,
        "function": None, "trigger": None, "object": None, "ended_at_ms": None, "is_cut": False, **changes,
    }  # fmt: skip


def bill(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "by": "function", "tag": None, "since_ms": None, "until_ms": None, "currency": "USD", "lines": list(lines),
        "total": line("", count=3 * len(lines), **THERE), "compared": None, "next": None, **changes,
    }  # fmt: skip


def compared() -> dict[str, Any]:
    return {
        "title": "A <Cloud>", "region": "r", "architecture": "x86", "dated": "2026-11-29", "sources": ["https://a", "https://b"],
        "currency": "USD", "counts": ["requests"], "leaves_out": ["the free tier"], "unknown": 4,
    }  # fmt: skip


def root(name: str, **changes: Any) -> dict[str, Any]:
    return line(name, **THERE, function="resize", trigger="upload", ended_at_ms=7, **changes)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_csv_has_whole_numbers_and_no_total() -> None:
    assert rows(statement.csv(bill(line("hello"), line("other")))) == [
        ["function", "count", "billed_count", "billed_ms", "mb_ms", "cpu_us", "cost_pico", "cost_decimal", "currency"],
        ["hello", "3", "2", "1500", "192000", "2500", "433334", "0.000000433334", "USD"],
        ["other", "3", "2", "1500", "192000", "2500", "433334", "0.000000433334", "USD"],
    ]


def test_csv_has_what_it_would_have_cost_and_what_a_chain_was() -> None:
    found = rows(statement.csv(bill(line("a", **THERE), compared=compared())))
    assert found[0][-3:] == ["there_pico", "there_decimal", "currency"]
    assert found[1][-3:] == ["5", "0.000000000005", "USD"]
    found = rows(statement.csv(bill(root("id", object="photos/a,b\n.jpg"), by="root")))
    assert found[0][-5:] == ["function", "trigger", "object", "ended_at_ms", "currency"]
    assert found[1][-5:] == ["resize", "upload", "photos/a,b\n.jpg", "7", "USD"]


@pytest.mark.parametrize("key", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_the_name_of_an_object_is_no_formula(key: str) -> None:
    found = rows(statement.csv(bill(root("id", object=key), by="root")))
    assert found[1][-3] == f"'{key}"


class Page(html.parser.HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.cells: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self._inside = tag in ("td", "th")
        if self._inside:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


def test_a_page_shows_every_line_and_the_total_and_loads_nothing() -> None:
    page = Page(statement.html(bill(line("hello"), line(""))))
    assert page.links == []
    assert "script" not in page.tags
    assert page.cells[:6] == ["Function", "Attempts", "Billed ms", "GB-seconds", "CPU seconds", "Cost (USD)"]
    assert page.cells[6:12] == ["hello", "3", "1,500", "0.188", "0.003", "0.000000433334"]
    assert page.cells[12] == "(none)"
    assert page.cells[18:20] == ["Total", "6"]
    assert "@media print" in statement.html(bill())


def test_the_points_of_amounts_stand_below_one_another_and_names_keep_their_room() -> None:
    page = Page(statement.html(bill(line("a", cost_pico=5_000_000), line("b", cost_pico=1_234 * 10**12))))
    assert [page.cells[11], page.cells[17]] == ["0.000005000000", "1,234.000000000000"]
    # Heads may break and names may not shrink to a letter: on paper there is little room beside seven columns.
    assert "min-width" in statement.html(bill())


def test_what_anybody_wrote_is_text() -> None:
    evil = "</td><script>alert(1)</script>&\"'"
    page = Page(statement.html(bill(root("id", object=evil), by="root", compared=compared(), next="1.1.x")))
    assert "script" not in page.tags
    assert evil in page.cells
    assert "A <Cloud> (USD)" in page.cells


def test_a_period_is_said_in_whole_days_or_to_the_second() -> None:
    day = 86_400_000
    assert statement.title(bill()) == "By function, the first day to now, whole days (UTC), in USD"
    whole = statement.title(bill(since_ms=day, until_ms=3 * day, tag="team", by="tag"))
    assert whole == "By tag team, 1970-01-02 to 1970-01-03, whole days (UTC), in USD"
    exact = statement.title(bill(since_ms=1_000, until_ms=2_000, by="root"))
    assert exact == "By root, 1970-01-01 00:00:01 to 1970-01-01 00:00:02 (UTC), in USD"


def test_a_comparison_says_its_source_and_what_it_leaves_out() -> None:
    assert list(statement.explained(compared())) == [
        "A <Cloud>, r, x86, on demand: list prices of 2026-11-29, from https://a and https://b",
        "counted: requests",
        "left out: the free tier",
        "not compared: 4 billed attempts of before it was kept how much memory they had",
    ]
