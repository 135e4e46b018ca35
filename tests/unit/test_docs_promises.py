"""Every row of the tables of promises and attacks links to a test that exists, by a reference at its page's end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "explanation"
FEWEST = {"durability.md": 50, "security.md": 60}
"""About as many rows as the pages have: a table whose head is not recognised would be passed over."""

_REFERENCE = re.compile(r'^\[([^\]]+)\]: (\S+) "(test_\w+)"$', re.MULTILINE)


def _rows(page: str) -> list[str]:
    """The rows of the tables whose last column is the test."""
    rows: list[str] = []
    for table in re.findall(r"(?:^\|.*\n)+", (PAGES / page).read_text(), re.MULTILINE):
        head, _, *body = table.splitlines()
        rows += body if head.endswith((" test |", " the test |")) else []
    return rows


def _references(page: str) -> dict[str, tuple[Path, str]]:
    """The tests that a page links to, by label."""
    found = _REFERENCE.findall((PAGES / page).read_text())
    return {label: (PAGES / target, test) for label, target, test in found}


@pytest.mark.parametrize("page", FEWEST)
def test_the_page_has_its_tables(page: str) -> None:
    assert len(_rows(page)) >= FEWEST[page]


@pytest.mark.parametrize(("page", "row"), [(page, row) for page in FEWEST for row in _rows(page)])
def test_every_row_links_to_its_tests(page: str, row: str) -> None:
    cell = row.removesuffix("|").rpartition("|")[2]
    labels = re.findall(r"\[([^\]]+)\]", cell)
    assert labels, "no test"
    assert set(labels) <= _references(page).keys()
    assert re.sub(r"\[[^\]]+\]", "", cell).strip(" ,") == "", "names of tests stand at the end of the page"


@pytest.mark.parametrize("page", FEWEST)
def test_every_link_leads_to_a_test_and_is_used(page: str) -> None:
    rows = "\n".join(_rows(page))
    for label, (path, test) in _references(page).items():
        assert re.search(rf"^(async )?def {test}\(", path.read_text(), re.MULTILINE), (label, test)
        assert f"[{label}]" in rows, label
