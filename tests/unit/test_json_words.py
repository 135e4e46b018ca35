"""Faults of JSON are told in our words, whatever the decoder says."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from faas.core.values import json_words


class Form(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1)]
    kind: Literal["a", "b"] = "a"
    names: list[str] = []


def told(raw: bytes, form: object = Form) -> str:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)) as caught:
        msgspec.json.decode(raw, type=form)
    return json_words.why(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{'a': 1}", "byte 1 is none that JSON may have there"),
        (b'{"limit": 1', "it ends too early"),
        (b"1 2", "expected object, found int"),
        (b'{"a\xff": 1}', "byte 1 is not UTF-8"),
        (b'{"limit": "x"}', "limit: expected int, found str"),
        (b"[]", "expected object, found array"),
        (b"{}", "limit is missing"),
        (b'{"limit": 1, "x": 2}', "x is not known"),
        (b'{"limit": 0}', "limit: expected int >= 1"),
        (b'{"limit": 1, "kind": "c"}', "kind: the value is none of those that may stand there"),
        (b'{"limit": 1, "names": ["a", 2]}', "names[1]: expected str, found int"),
    ],
)
def test_the_place_and_what_is_expected_are_told(raw: bytes, words: str) -> None:
    assert told(raw) == words


def test_what_is_too_deep_is_told() -> None:
    assert told(b"[" * 100_000, list[Any]) == "it is nested too deeply"


@hypothesis.given(st.binary(max_size=30) | st.text(max_size=20).map(str.encode))
def test_no_words_of_the_decoder_are_told(raw: bytes) -> None:
    try:
        msgspec.json.decode(raw, type=Form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        assert re.search(r"`|Expected|malformed|invalid|Input|Object ", json_words.why(error)) is None
