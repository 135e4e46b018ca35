"""What a line says besides its text, whoever wrote it and however hostile it is."""

from __future__ import annotations

import json

import hypothesis
import pytest
from hypothesis import strategies as st

from faas.core.logs import log_lines

LAMBDA = "[ERROR]\t2026-11-29T10:00:00.000Z\t019a3f1c\tit failed"


@pytest.mark.parametrize(
    ("text", "level", "message", "fields"),
    [
        (LAMBDA, 40, "it failed", {}),
        (LAMBDA + '\t{"size": 7, "user": {"id": 3}}', 40, "it failed", {"size": 7, "user.id": 3}),
        ("[WARNING]\t2026-11-29T10:00:00.000Z\t\twhile importing", 30, "while importing", {}),
        ("[ERROR] ValueError: nobody caught it", 40, "ValueError: nobody caught it", {}),
        ("[ERROR]ValueError", None, "[ERROR]ValueError", {}),
        ("[HINT] do this", None, "[HINT] do this", {}),
        ("WARNING:root:careful", 30, "careful", {}),
        ('{"level": "warn", "msg": "m", "a": [1, {"b": null}]}', 30, "m",
         {"level": "warn", "msg": "m", "a.0": 1, "a.1.b": None}),
        ('{"severity": "CRITICAL", "ok": true}', 50, '{"severity": "CRITICAL", "ok": true}',
         {"severity": "CRITICAL", "ok": True}),
        ('{"level": 35}', 30, '{"level": 35}', {"level": 35}),
        ('{"a": 1} and more', None, '{"a": 1} and more', {}),
        ('{"a": 1', None, '{"a": 1', {}),
        ("printed", None, "printed", {}),
        ("", None, "", {}),
    ],
)  # fmt: skip
def test_a_line_tells_its_level_its_message_and_its_fields(
    text: str, level: int | None, message: str, fields: log_lines.Fields
) -> None:
    facts = log_lines.read(text)
    assert (facts.level, facts.message, facts.fields) == (level, message, fields)
    assert log_lines.level_of(text) == level


def test_the_level_of_a_row_of_several_lines_is_the_highest() -> None:
    assert log_lines.highest_level(f"printed\n{LAMBDA}\nDEBUG:root:x") == 40
    assert log_lines.highest_level("printed\nprinted") is None


def test_a_line_may_be_as_large_deep_or_odd_as_it_likes() -> None:
    for text in (
        "{" + '"a":{' * 50_000 + "}" * 50_001,
        '{"a": "' + "x" * log_lines.MOST_BYTES + '"}',
        '{"a": 1e999}',
        '{"\ud800": 1}',
        '{"a": NaN}',
        "[" * 100_000,
        "[CRITICAL]\t" + "\t" * 10_000 + "{}",
    ):
        assert log_lines.read(text).fields == {}


def test_fields_are_bounded_in_number_depth_and_length() -> None:
    wide = json.dumps({f"k{number}": number for number in range(2_000)})
    assert list(log_lines.read(wide).fields) == [f"k{number}" for number in range(log_lines.MOST_FIELDS)]
    deep: object = 1
    for _ in range(log_lines.MOST_DEPTH + 5):
        deep = {"a": deep}
    assert log_lines.read(json.dumps({"deep": deep, "b": 2})).fields == {"b": 2}
    fields = log_lines.read(json.dumps({"text": "x" * 10_000, "n" * 500: 1})).fields
    assert fields == {"text": "x" * log_lines.MOST_TEXT}


@hypothesis.given(st.text() | st.recursive(st.text() | st.floats() | st.none(), st.lists).map(json.dumps))
def test_no_line_is_an_error(text: str) -> None:
    for line in (text, "{" + text, "[INFO]\t" + text, '{"a":' + text + "}", LAMBDA + "\t{" + text + "}"):
        facts = log_lines.read(line)
        assert len(facts.fields) <= log_lines.MOST_FIELDS
        assert facts.level == log_lines.level_of(line)
