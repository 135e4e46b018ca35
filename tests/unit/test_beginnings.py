"""Ids by their beginnings."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from faas.api import beginnings
from faas.core import errors

IDS = (
    "019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d11",
    "019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d12",
    "019b0000-0b1e-7c3a-9d52-3f1f6f0f8d12",
)


async def known(text: str) -> Iterable[str]:
    return [each for each in IDS if each.startswith(text)]


async def never(text: str) -> Iterable[str]:
    raise AssertionError(f"nobody need look for {text}")


@pytest.mark.parametrize("given", ["019b", "019b0000-0b1e", " 019B0000 ", IDS[2]])
async def test_a_beginning_that_one_id_has_is_that_id(given: str) -> None:
    assert await beginnings.whole(given, known) == IDS[2]


@pytest.mark.parametrize("given", ["019", "", "x" * 40, "ünicode", IDS[0]])
async def test_what_is_whole_or_no_beginning_is_looked_for_by_nobody(given: str) -> None:
    assert await beginnings.whole(given, never) == given


async def test_what_begins_nothing_is_given_back() -> None:
    assert await beginnings.whole("beef", known) == "beef"


async def test_what_several_begin_with_is_refused_and_they_are_named() -> None:
    with pytest.raises(errors.BadRequest, match="the beginning of several ids") as refused:
        await beginnings.whole("019a2f6c", known)
    assert refused.value.data["ids"] == list(IDS[:2])
