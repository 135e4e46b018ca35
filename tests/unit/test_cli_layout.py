"""Tables on terminals: what gives way, in which order, and how far."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.cli import layout

IDS = [f"019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d1{n}" for n in range(3)]
TABLE = layout.Table(
    (
        layout.Column("FUNCTION", cut=True), layout.Column("INVOCATION", is_id=True), layout.Column("FIRST", drop=1),
        layout.Column("SECOND", drop=2), layout.Column("MS"),
    ),
    (("resize", IDS[0], "f" * 10, "s" * 10, "12"), ("mail", IDS[1], "f", "s", "1,234")),
)  # fmt: skip


def names(width: int) -> list[str]:
    return [column.name for column in layout.fitted(TABLE, width).columns]


def test_what_fits_is_left_as_it_is_and_a_pipe_gets_all() -> None:
    assert layout.fitted(TABLE, 200) == TABLE
    assert layout.lines(TABLE, None)[1].split() == ["resize", IDS[0], "f" * 10, "s" * 10, "12"]


def test_ids_give_way_first_then_columns_in_their_order_then_texts() -> None:
    table = TABLE._replace(rows=(("resize", "019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d10", "f", "s", "12"),))
    assert names(120) == ["FUNCTION", "INVOCATION", "FIRST", "SECOND", "MS"]
    short = layout.fitted(table, 60)
    assert (short.rows[0][1], len(short.columns)) == ("019a2f6c-0b1e-7c3a", 5)
    assert names(70) == ["FUNCTION", "INVOCATION", "SECOND", "MS"]
    assert names(55) == ["FUNCTION", "INVOCATION", "MS"]


def test_a_long_text_gives_way_before_a_column_does_and_keeps_what_tells_something() -> None:
    table = layout.Table((layout.Column("DIED", drop=1), layout.Column("ERROR", cut=True)), (("12:00", "e" * 90),))
    assert layout.fitted(table, 40).rows == (("12:00", "e" * 32 + "…"),)
    assert layout.fitted(table, 31).rows == (("12:00", "e" * 23 + "…"),)
    assert layout.fitted(table, 30).rows == (("e" * 29 + "…",),)


def test_short_ids_are_as_long_as_tells_them_apart() -> None:
    assert layout.short_length(IDS) == 36
    assert layout.short_length(["019a2f6c-0b1e-7c3a-9d52", "119a2f6c-0b1e-7c3a-9d52"]) == layout.SHORT_ID
    assert layout.short_length([]) == layout.SHORT_ID


def test_wide_characters_count_as_what_they_take() -> None:
    table = layout.Table((layout.Column("KEY", cut=True), layout.Column("N")), (("日本語" * 10, "1"),))
    assert all(layout.size(line) <= 30 for line in layout.lines(table, 30))
    assert layout.lines(table, 30)[-1].endswith("…  1")


@given(
    st.lists(st.tuples(st.text(max_size=90), st.sampled_from(IDS), st.text(max_size=90)), max_size=5),
    st.integers(1, 120),
)
def test_no_line_is_ever_wider_than_its_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    columns = (layout.Column("A", cut=True), layout.Column("ID", is_id=True), layout.Column("B", drop=1))
    plain = tuple(tuple(" ".join(cell.split()) for cell in row) for row in rows)
    for line in layout.lines(layout.Table(columns, plain, ("total", "", "")), width):
        assert layout.size(line) <= width


@pytest.mark.parametrize(
    ("cells", "is_right"), [(["1", "-"], True), (["12 MB"], True), (["019a-x"], False), ([], False)]
)
def test_columns_of_numbers_stand_to_the_right(cells: list[str], is_right: bool) -> None:
    table = layout.Table((layout.Column("A COLUMN"),), tuple((cell,) for cell in cells))
    assert layout.lines(table, None)[-1].startswith(" ") is is_right
