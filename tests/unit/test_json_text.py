"""What passes as JSON here, and what is made of what only Python reads."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import errors
from faas.core.calls import calling
from faas.core.values import json_text

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"null", True),
        (b'{"a":"\xc3\xa4"}', True),
        (b'"NaN -Infinity \\\\ud800"', True),
        (b"{", False),
        (b"", False),
        (b"1 2", False),
        (b'"\xff"', False),
        (b"[" * 30_000 + b"]" * 30_000, False),
        (b" " * 1_000, False),
        (b"1," + b" " * 1_000 + b"2", False),
        (b"1],[" + b" " * 1_000 + b"2", False),
        (b"1]," + b"[]," * 1_000 + b"[2", False),
        (b"[" + b"[]," * 1_000 + b"2]", True),
        (b"NaN", False),
        (b'"\\ud800"', False),
    ],
)
def test_a_body_is_json_or_not(body: bytes, expected: bool) -> None:
    assert json_text.is_json(body) is expected


@given(ANY)
def test_whatever_python_writes_is_a_result_and_a_part_of_a_document(value: object) -> None:
    for ensure_ascii in (True, False):
        body = json.dumps(value, ensure_ascii=ensure_ascii).encode("utf-8", "backslashreplace")
        assert json_text.is_result(body)
        msgspec.json.decode(json_text.standard(body), type=msgspec.Raw)
        if json_text.is_json(body):
            assert json_text.standard(body) is body


@pytest.mark.parametrize(
    "body",
    [
        *(b"1NaN", b"NaN1", b"-NaN", b"NaNNaN", b"[NaN NaN]", b"+Infinity", b"--Infinity", b"Inf", b"{NaN:1}"),
        b'"\\NaN"',
        *(b"nan", b'"NaN', b"[NaN", b'{"a":\\ud800}', b'"\\ud80"', b"aNaN", b"Infinity0", b'"\xffNaN"'),
    ],
)
def test_what_python_does_not_write_is_no_result(body: bytes) -> None:
    assert not json_text.is_result(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN"}', b'{"a":null,"b":[null,null],"c":"NaN"}'),
        (b'"\\ud800x"', '"\ufffdx"'.encode()),
        (b'[NaN,"\\\\ud800"]', b'[null,"\\\\ud800"]'),
        (b"[NaN," + b"9" * 5_000 + b"]", b'"[NaN,' + b"9" * 5_000 + b']"'),
    ],
)
def test_a_document_takes_a_result_as_any_reader_can_read_it(body: bytes, expected: bytes) -> None:
    assert json_text.standard(body) == expected


def nested(depth: int) -> bytes:
    return b"[" * depth + b"1" * json_text.MOST_NESTED + b"]" * depth


def test_what_passes_can_be_read_by_who_stands_deep_in_a_stack() -> None:
    assert json_text.is_json(nested(json_text.MOST_NESTED))
    for depth in (1_000, 10_000, 1_000_000):
        assert not json_text.is_result(nested(depth))
        assert json_text.is_too_deep(nested(depth)) and json_text.is_too_deep(nested(depth).replace(b"11", b"NaN,1", 1))
    assert not json_text.is_too_deep(b"{") and not json_text.is_too_deep(b"NaN")
    deepest = next(depth for depth in range(400, 2_000) if not json_text.is_json(nested(depth))) - 1

    def at(depth: int) -> object:
        return at(depth - 1) if depth else msgspec.json.decode(nested(deepest))

    at(150)
    assert deepest < sys.getrecursionlimit()


def test_an_event_that_is_nested_too_deeply_is_refused_in_one_line() -> None:
    with pytest.raises(errors.BadRequest, match="it is nested more than 500 levels deep"):
        calling.json_event(nested(100_000), "")
    assert calling.json_event(nested(400), "")
