"""Large values are judged by SQLite as smaller ones are by the decoder."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core.values import json_text, large_json
from tests.unit import test_json_text

BODIES = st.one_of(
    test_json_text.ANY.map(json.dumps).map(str.encode),
    st.text(st.sampled_from('[]{},:"\\\0 1eE+-.nulltrueNaNInfinity\\ud8')).map(str.encode),
    st.binary(max_size=20),
)


@given(BODIES)
def test_values_are_judged_alike(body: bytes) -> None:
    assert large_json.is_json(body) == json_text.is_json(body)
    assert large_json.is_result(body) == json_text.is_result(body)
    assert large_json.is_pythons(body) == json_text.is_pythons(body)
    if not json_text.is_result(body):
        assert not large_json.is_too_deep(body)


@pytest.mark.parametrize("depth", [600, 1_500, 5_000, 100_000])
@pytest.mark.parametrize("inner", [b"1", b"NaN"])
def test_what_is_nested_too_deeply_is_told_from_what_is_no_json(depth: int, inner: bytes) -> None:
    deep = b"[" * depth + inner + b"]" * depth
    assert not large_json.is_result(deep)
    assert large_json.is_too_deep(deep)
    assert not large_json.is_result(deep[:-1])
    assert large_json.is_result(deep[depth - json_text.MOST_NESTED : json_text.MOST_NESTED - depth])


@given(st.lists(st.sampled_from([b"NaN", b"-Infinity", b"Infinity", b"\\ud800", b",", b"x", b'"', b"7", b"\\", b"N"])))
def test_what_only_python_reads_is_found_wherever_a_part_ends(pieces: list[bytes]) -> None:
    body = b'["' + b"".join(pieces) + b'",' + b",".join(pieces) + b"]"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_text, "_PART_BYTES", 12)
        in_parts = json_text.plain(body)
    assert len(in_parts) == len(body)
    assert json_text.is_json(in_parts) == json_text.is_json(json_text.plain(body))


def test_what_only_python_reads_is_replaced_in_parts_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them keeps the interpreter; between them others have their turn."""
    sizes: list[int] = []
    plain_part = json_text._plain_part

    def noted(part: bytes) -> bytes:
        sizes.append(len(part))
        return plain_part(part)

    monkeypatch.setattr(json_text, "_plain_part", noted)
    json_text.plain(b"[" + b"NaN," * 500_000 + b"1]")
    assert max(sizes) <= 65_536 and sum(sizes) == 2_000_003


def test_parts_of_an_object_are_cut_out() -> None:
    body = b' {"b": [1, "x\\n"], "a" : 1.50, "text": "\\u0000\\"", "a": 2}'
    assert large_json.sizes(body, ["a", "b", "c"]).keys() == {"a", "b"}
    assert large_json.cut_out(body, ["a", "c", "b"], "text") == (b'[1.50,null,[1,"x\\n"]]', b'"\\u0000\\""')
    assert large_json.cut_out(body, ["a"], "none") == (b"[1.50]", b"null")
    with pytest.raises(large_json.Malformed):
        large_json.cut_out(b"{", ["a"], "b")
