"""A follower is shown each line once: as it is printed or as it is recorded, whichever comes first."""

from __future__ import annotations

import hypothesis
import msgspec
from hypothesis import strategies as st

from faas.core.logs import repeats


class Line(msgspec.Struct, frozen=True):
    """A line as the control API tells it."""

    id: int
    text: str
    at_ms: int = 1
    invocation_id: str = "i"
    attempt: int = 1


def test_a_line_that_was_shown_live_is_not_shown_when_it_is_recorded() -> None:
    seen = repeats.SeenLines()
    assert [line.text for line in seen.fresh([Line(0, "a"), Line(0, "b")])] == ["a", "b"]
    assert [line.text for line in seen.fresh([Line(1, "a"), Line(2, "b"), Line(3, "c")])] == ["c"]


def test_a_live_line_that_comes_late_is_not_shown_again() -> None:
    seen = repeats.SeenLines()
    assert len(seen.fresh([Line(1, "a")])) == 1
    assert seen.fresh([Line(0, "a")]) == []


def test_another_line_that_says_the_same_is_shown() -> None:
    seen = repeats.SeenLines()
    recorded = [Line(1, "tick", at_ms=1), Line(2, "tick", at_ms=2)]
    assert len(seen.fresh(recorded)) == 2
    assert len(seen.fresh([Line(0, "tick", at_ms=3)])) == 1
    assert seen.fresh([Line(3, "tick", at_ms=3)]) == []


def test_lines_of_another_attempt_are_others() -> None:
    seen = repeats.SeenLines()
    assert len(seen.fresh([Line(0, "a"), Line(0, "a", attempt=2), Line(0, "a", invocation_id="j")])) == 3
    assert len(seen.fresh([Line(1, "a", attempt=3)])) == 1


def test_a_row_of_several_short_lines_has_one_moment_and_they_are_known_all_the_same() -> None:
    seen = repeats.SeenLines()
    seen.fresh([Line(0, "a", at_ms=1), Line(0, "b", at_ms=5)])
    assert seen.fresh([Line(7, "a", at_ms=1), Line(7, "b", at_ms=1)]) == []


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    seen = repeats.SeenLines(most=100)
    seen.fresh([Line(0, str(number)) for number in range(1_000)])
    assert seen.fresh([Line(1, "999")]) == []
    assert len(seen.fresh([Line(2, "0")])) == 1


@hypothesis.given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(0, 12), st.integers(0, 12), st.data())
def test_whatever_came_live_each_line_is_shown_as_often_as_it_was_printed(
    texts: list[str], first: int, last: int, data: st.DataObject
) -> None:
    live = [Line(0, text, at_ms=at) for at, text in enumerate(texts)][first:last]
    stored = [Line(at + 1, text, at_ms=at) for at, text in enumerate(texts)]
    # Each in its own order, as they come, and mixed in any way.
    lines: list[Line] = []
    while live or stored:
        from_live = data.draw(st.booleans()) if live and stored else bool(live)
        lines.append((live if from_live else stored).pop(0))
    seen = repeats.SeenLines()
    shown = [line.text for line in lines for line in seen.fresh([line])]
    assert sorted(shown) == sorted(texts)
