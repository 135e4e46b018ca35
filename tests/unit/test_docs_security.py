"""Every test that the pages of promises name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "security.md"
_DEFINED = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


def _rows() -> list[str]:
    """The rows of the tables whose last column is the test."""
    rows: list[str] = []
    for table in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE):
        head, _, *body = table.splitlines()
        rows += body if head.endswith("| the test |") else []
    return rows


def test_there_is_a_row_for_each_attack() -> None:
    assert len(_rows()) > 20


@pytest.mark.parametrize("row", _rows())
def test_every_row_of_the_security_page_names_tests_that_exist(row: str) -> None:
    defined = {name for path in (ROOT / "tests").rglob("test_*.py") for name in _DEFINED.findall(path.read_text())}
    named = set(re.findall(r"`(test_\w+)`", row.rpartition("|")[0].rpartition("|")[2]))
    assert named, "no test"
    assert named <= defined
