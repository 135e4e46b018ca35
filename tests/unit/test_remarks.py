"""What a function's log says of answers that are not as HTTP responses are."""

from __future__ import annotations

import json

import msgspec
import pytest

from faas.core import model
from faas.core.http import replies
from runners import remarking
from runners.sandbox import base


def _invocation(revision: int = 1) -> model.Invocation:
    return model.Invocation(
        id="1", function="f", revision=revision, trigger="http", mode=model.Mode.SYNC, event=b"{}", accepted_at_ms=1
    )


def _ran(result: object, **fields: object) -> base.Ran:
    ran = base.Ran(status=model.Status.OK, duration_us=1, memory_peak_mb=1, body=json.dumps(result).encode())
    return msgspec.structs.replace(ran, **fields)


def test_each_thing_is_said_once_of_a_revision() -> None:
    remarks, invocation = remarking.Remarks(), _invocation()
    odd = _ran({"statusCode": 200, "cookies": "a=1", "Body": "x"})
    said = [line.text for line in remarks.of(invocation, odd, 5)]
    assert said == [
        "faas: the answer to this request: left out, as it is no part of a response: Body",
        "faas: the answer to this request: cookies is a text, taken as a list of one",
    ]
    assert remarks.of(invocation, odd, 6) == ()
    assert len(remarks.of(msgspec.structs.replace(invocation, revision=99), odd, 7)) == 2
    broken = _ran({"statusCode": 99})
    assert "statusCode is 99" in remarks.of(invocation, broken, 8)[0].text


def test_nothing_is_said_of_what_is_no_answer_to_a_request() -> None:
    remarks, invocation = remarking.Remarks(), _invocation()
    odd = {"statusCode": 200, "Body": "x"}
    assert remarks.of(msgspec.structs.replace(invocation, trigger="invoke"), _ran(odd), 1) == ()
    assert remarks.of(invocation, _ran(odd, is_bytes=True), 1) == ()
    assert remarks.of(invocation, _ran(odd, status=model.Status.ERROR), 1) == ()
    assert remarks.of(invocation, _ran({"statusCode": 200, "body": "x"}), 1) == ()


def test_what_was_found_of_a_large_answer_where_it_was_looked_through_is_said() -> None:
    large = _ran({"statusCode": 200, "body": [1] * 100_000}, remarks=("this",))
    (line,) = remarking.Remarks().of(_invocation(), large, 1)
    assert line.text == "faas: the answer to this request: this"


def test_what_is_remembered_is_bounded() -> None:
    remarks = remarking.Remarks()
    for number in range(20_050):
        invocation = _invocation(number)
        remarks.of(invocation, _ran({"statusCode": 200, "x": 1}), 1)
    assert len(remarks._said) <= 10_001


@pytest.mark.parametrize("key", ["statuscode", "StatusCode", "status_code", "status-code"])
def test_a_status_under_another_name_is_said_to_be_none(key: str) -> None:
    (line,) = remarking.Remarks().of(_invocation(), _ran({key: 404, "body": "x"}), 1)
    assert f"it has {key} and no statusCode, so all of it is the body, with status 200" in line.text


@pytest.mark.parametrize("value", [{"status": 404}, {"state": {"statuscode": 1}}, ["statuscode"], "status_code", None])
def test_a_value_that_is_no_answer_by_mistake_has_no_remark(value: object) -> None:
    assert remarking.Remarks().of(_invocation(), _ran(value), 1) == ()


@pytest.mark.parametrize("value", [float("nan"), {"statusCode": 200, "body": [float("-inf")]}, ["\ud800"] * 20_000])
def test_what_only_python_takes_for_json_is_said_to_be_none(value: object) -> None:
    told = replies.all_remarks(json.dumps(value).encode())
    assert told == (
        "result is not JSON: it holds NaN, Infinity or half a character, which Python writes and JSON does not have",
    )
    assert replies.all_remarks(b'["NaN", "\\\\ud800"]') == ()
