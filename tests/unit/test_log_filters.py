"""Conditions on the fields of lines: how they are written, what they hold for, and what is said of a wrong one."""

from __future__ import annotations

import time

import hypothesis
import pytest
from hypothesis import strategies as st

from faas.core import errors
from faas.core.logs import filters, log_lines

LINE = (
    '{"level":"error","message":"Timed out","size":1000,"ratio":0.5,"user":{"id":7,"name":"Ada"},"ok":true,"no":null}'
)
FACTS = log_lines.read(LINE)


@pytest.mark.parametrize(
    "text",
    [
        "size=1000", "size==1000", "size = 1000.0", "size>999", "size>=1000", "size<1e4", "size<=1000", "size!=7",
        "user.id=7", "user.name=Ada", "user.name='Ada'", 'user.name="Ada"', "user.name~da", "user.name~DA",
        "ok=true", "no=null", "ratio<0.6", "size", "!missing", "missing!=1", "level=error",
        "level>=warning", "level>info", "message~timed", "message=Timed out",
    ],
)  # fmt: skip
def test_a_condition_holds(text: str) -> None:
    assert filters.condition(text).holds(FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "size=999", "size>1000", "size<1000", "size>abc", "size=abc", "user.id=8", "user.name=ada", "missing=1",
        "missing>0", "missing", "!size", "level<error", "level=info", "user.name>5", "size~7", "ok=True",
    ],
)  # fmt: skip
def test_a_condition_does_not_hold(text: str) -> None:
    assert not filters.condition(text).holds(FACTS)


def test_a_text_that_reads_as_a_number_is_one() -> None:
    facts = log_lines.read('{"size": "900", "version": "1.10"}')
    assert filters.condition("size<1000").holds(facts)
    assert filters.condition("version=1.10").holds(facts)


def test_a_plain_line_has_a_level_and_a_message_and_no_fields() -> None:
    facts = log_lines.read("[ERROR]\t2026-11-29T10:00:00.000Z\tid\tit failed")
    assert filters.condition("level=error").holds(facts)
    assert filters.condition("message~failed").holds(facts)
    assert not filters.condition("size").holds(facts)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no condition"),
        ("!", "no condition"),
        ("=7", "no condition"),
        (">", "no condition"),
        ("!a=b", "no condition"),
        ("size>", "nothing to compare"),
        ("level>loud", "no level"),
        ("x" * 2_000, "more than"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(errors.BadRequest, match=says):
        filters.condition(text)


def test_more_conditions_than_anybody_needs_are_refused() -> None:
    with pytest.raises(errors.BadRequest, match="21 conditions"):
        filters.conditions(["a=1"] * 21)


@hypothesis.given(st.text(max_size=40), st.text(max_size=60))
def test_any_text_is_a_condition_or_a_bad_request(text: str, line: str) -> None:
    try:
        found = filters.condition(text)
    except errors.BadRequest:
        return
    for each in (line, '{"a":' + line + "}", LINE):
        found.holds(log_lines.read(each))


def test_the_text_of_a_line_is_looked_through_whatever_its_case() -> None:
    wanted = filters.LogFilter(grep="TIMED OUT", level=40, where=filters.conditions(["size>1", "user.id=7"]))
    assert wanted.wants_text(LINE, FACTS)
    assert not filters.LogFilter(level=50).wants_text(LINE, FACTS)
    assert not filters.LogFilter(grep="timed  out").wants_text(LINE, FACTS)


def test_a_condition_with_many_spaces_is_judged_at_once() -> None:
    began_s = time.process_time()
    for _ in range(100):
        with pytest.raises(errors.BadRequest):
            filters.condition(f"a{' ' * 990}!x")
    # It took 0.7 s when each space could begin the operator.
    assert time.process_time() - began_s < 0.2
