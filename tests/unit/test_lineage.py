"""The mark of a chain: nobody can make one, change one, or hurt anybody by what he writes there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import ids
from faas.core.calls import calling, lineage

SECRET = b"s" * 64
CHAIN = calling.Chain(16, ids.new_id(), ids.new_id())


def test_a_mark_that_was_signed_with_the_secret_is_read() -> None:
    assert lineage.read(SECRET, lineage.mark(SECRET, CHAIN)) == CHAIN


def test_a_mark_is_nothing_with_another_secret_or_another_depth_parent_or_root() -> None:
    mark = lineage.mark(SECRET, CHAIN)
    depth, parent, root, signature = mark.split(".")
    assert lineage.read(b"t" * 64, mark) is None
    for forged in (
        ("1", parent, root),
        (depth, ids.new_id(), root),
        (depth, parent, ids.new_id()),
        ("016", parent, root),
    ):
        assert lineage.read(SECRET, ".".join((*forged, signature))) is None


@given(st.one_of(st.text(max_size=300), st.from_regex(r"[0-9]{1,40}\.[0-9a-f.-]{70,150}", fullmatch=True)))
def test_no_text_that_was_not_signed_is_a_mark(text: str) -> None:
    assert lineage.read(SECRET, text) is None


def test_a_depth_that_grows_without_end_is_still_a_mark() -> None:
    deep = lineage.read(SECRET, lineage.mark(SECRET, calling.Chain(10**30, CHAIN.parent_id, CHAIN.root_id)))
    assert deep is not None
    assert deep.depth == lineage.DEEPEST


@pytest.mark.parametrize(
    ("written", "depth"),
    [
        *[(b"0", 0), (b"3", 3), (b"0016", 16), (b"9999", 9_999)],
        *[(large, lineage.DEEPEST) for large in (b"10000", b"9" * 30, b"9" * 60_000)],
        *[(wrong, None) for wrong in (b"-1", b"", b"1e3", b" 3", b"3\n", b"0x3", "٣".encode(), b"\xff", b"1_0", b"x")],
    ],
)
def test_a_depth_from_outside_is_a_small_number_or_none(written: bytes, depth: int | None) -> None:
    assert lineage.depth_of(written) == depth
