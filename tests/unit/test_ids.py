"""Invocation ids: of the right form, in the order of their moments, and never twice."""

from __future__ import annotations

import time
import uuid

import hypothesis
from hypothesis import strategies as st

from faas.core import ids

MOMENTS = st.integers(0, 2**48 - 1)


@hypothesis.given(MOMENTS, st.integers(15, ids.LENGTH))
def test_what_lists_show_of_an_id_is_known_as_one(now_ms: int, length: int) -> None:
    assert ids.is_beginning(ids.Ids().at(now_ms)[:length])
    assert not any(map(ids.is_beginning, ("", "hello", "2026-01-31", "deadbeef-cafe-1", ids.new_id() + "0")))


@hypothesis.given(MOMENTS)
def test_an_id_is_a_uuid_of_version_7_of_its_moment(now_ms: int) -> None:
    made = uuid.UUID(ids.Ids().at(now_ms))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, now_ms)


@hypothesis.given(st.lists(MOMENTS, min_size=2, max_size=5))
def test_ids_sort_by_their_moments_also_when_the_clock_is_set_back(moments: list[int]) -> None:
    source = ids.Ids()
    made = [source.at(moment) for moment in moments]
    assert [moment for _, moment in sorted(zip(made, moments, strict=True))] == sorted(moments)


def test_no_id_is_made_twice_though_bytes_are_drawn_for_many() -> None:
    source = ids.Ids(drawn_bytes=100)
    made = {source.at(5) for _ in range(20_000)}
    assert len(made) == 20_000
    bits = [bin(uuid.UUID(one).int & (1 << 62) - 1).count("1") for one in made]
    assert 30 < sum(bits) / len(bits) < 32, "every digit of the random part is drawn"


def test_a_fresh_id_is_of_now() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(ids.new_id())
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000
    assert made.version == 7
