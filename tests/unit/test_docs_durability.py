"""Every row of the durability tables names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "explanation" / "durability.md"


def _rows() -> list[str]:
    """The rows of the tables whose last column is the test."""
    rows, named = [], False
    for line in PAGE.read_text().splitlines():
        if not line.startswith("|"):
            named = False
        elif line.endswith("| test |"):
            named = True
        elif named and not line.startswith("|---"):
            rows.append(line)
    return rows


def test_the_page_has_its_tables() -> None:
    assert len(_rows()) > 10


@pytest.mark.parametrize("row", _rows())
def test_each_row_names_a_test_that_exists(row: str) -> None:
    named = re.search(r"`(tests/\S+\.py)::(\w+)` \|$", row)
    assert named is not None, row
    assert re.search(rf"^(async )?def {named[2]}\(", (ROOT / named[1]).read_text(), re.MULTILINE), row
