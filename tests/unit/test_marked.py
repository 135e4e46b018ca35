"""Parts of pages that programs write."""

from __future__ import annotations

import pytest

from tests import marked

_PAGE = "Before.\n\n<!-- a -->\nold\n<!-- /a -->\n\nAfter.\n\n<!-- b -->\n<!-- /b -->\n"


def test_a_part_is_replaced_and_the_prose_around_it_stays() -> None:
    page = marked.replaced(_PAGE, "a", "new\nlines")
    assert page == _PAGE.replace("old", "new\nlines")
    assert marked.between(page, "a") == "new\nlines"


def test_writing_the_same_again_changes_nothing() -> None:
    page = marked.replaced(_PAGE, "b", "text")
    assert marked.replaced(page, "b", marked.between(page, "b")) == page


def test_an_empty_part_can_be_filled() -> None:
    assert "<!-- b -->\nx\n<!-- /b -->" in marked.replaced(_PAGE, "b", "x")


def test_a_page_without_the_part_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="no part c"):
        marked.replaced(_PAGE, "c", "x")


def test_a_table_sets_numbers_to_the_right() -> None:
    assert marked.table(["case", "ms"], [["1 client", "2"], ["", "3"]], 1) == (
        "| case | ms |\n| --- | ---: |\n| 1 client | 2 |\n| | 3 |"
    )
