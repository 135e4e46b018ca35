from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core import errors, events
from faas.core.http import replies
from triggers.gateway import answering


def _reply(result: Any) -> events.Reply:
    return events.http_reply(json.dumps(result).encode(), is_bytes=False)


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ({"a": [1, 2.5]}, b'{"a":[1,2.5]}'),
        ([1, {"b": None}], b'[1,{"b":null}]'),
        ("hé\nllo", "hé\nllo".encode()),
        ("", b""),
        (None, b"null"),
        (7, b"7"),
        (10**30, str(10**30).encode()),
        ({"headers": [1], "body": {"x": 1}}, b'{"headers":[1],"body":{"x":1}}'),
        ({"body": "x", "cookies": 3}, b'{"body":"x","cookies":3}'),
    ],
)
def test_a_result_without_status_code_is_the_body(result: Any, body: bytes) -> None:
    assert _reply(result) == events.Reply(200, [("content-type", "application/json")], body)


def test_raw_bytes_are_sent_as_they_are() -> None:
    assert events.http_reply(b"\x00\xff", is_bytes=True).body == b"\x00\xff"


def test_status_headers_cookies_and_body_are_taken_from_the_answer() -> None:
    reply = _reply(
        {
            "statusCode": 201,
            "headers": {"Content-Type": "text/html", "X-N": 5, "X-F": 1.5, "X-T": True, "X-Not": False, "X-Null": None},
            "cookies": ["a=1; Path=/", "b=2"],
            "body": "é",
            "unknown": {"x": 1},
            "multiValueHeaders": {"x": ["y"]},
        }
    )
    assert reply.status == 201
    assert reply.body == "é".encode()
    assert reply.headers == [
        ("Content-Type", "text/html"),
        ("X-N", "5"),
        ("X-F", "1.5"),
        ("X-T", "true"),
        ("X-Not", "false"),
        ("x", "y"),
        ("set-cookie", "a=1; Path=/"),
        ("set-cookie", "b=2"),
    ]


@pytest.mark.parametrize(("given", "status"), [("404", 404), (204, 204), (599, 599), (200.0, 200)])
def test_a_status_may_be_a_number_or_numeric_text(given: Any, status: int) -> None:
    assert _reply({"statusCode": given}).status == status


@pytest.mark.parametrize("given", [None, "abc", "", "２００", " 200", 99, 100, 199, 600, -1, 200.5, True, [], {}])
def test_a_status_code_that_is_no_status_is_the_functions_fault(given: Any) -> None:
    with pytest.raises(errors.FunctionFailed, match="statusCode"):
        _reply({"statusCode": given})


@pytest.mark.parametrize("absent", [{}, {"body": None}, {"body": ""}, {"headers": None, "cookies": None}])
def test_an_answer_without_a_body_has_no_content_type(absent: dict[str, Any]) -> None:
    assert _reply({"statusCode": 200, **absent}) == events.Reply(200, [], b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_allows_no_body_gets_none(status: int) -> None:
    assert _reply({"statusCode": status, "body": "x"}).body == b""


def test_a_text_body_without_a_type_is_plain_text() -> None:
    assert _reply({"statusCode": 200, "body": "x"}).headers == [("content-type", "text/plain; charset=utf-8")]


def test_a_body_is_decoded_only_when_it_says_that_it_is_base64() -> None:
    encoded = base64.b64encode(b"\x89PNG").decode()
    assert _reply({"statusCode": 200, "body": encoded, "isBase64Encoded": True}).body == b"\x89PNG"
    assert _reply({"statusCode": 200, "body": encoded, "isBase64Encoded": False}).body == encoded.encode()
    assert _reply({"statusCode": 200, "body": encoded, "isBase64Encoded": "true"}).body == encoded.encode()
    wrapped = base64.encodebytes(b"x" * 100).decode()
    assert _reply({"statusCode": 200, "body": wrapped, "isBase64Encoded": True}).body == b"x" * 100
    large = bytes(range(256)) * 1_000
    wrapped = base64.encodebytes(large).decode()
    assert _reply({"statusCode": 200, "body": wrapped, "isBase64Encoded": True}).body == large


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"body": "not base64!", "isBase64Encoded": True}, "not base64"),
        ({"body": "é", "isBase64Encoded": True}, "not base64"),
        ({"body": "eA==eA==", "isBase64Encoded": True}, "not base64"),
        ({"body": "A" * 65_532 + "eA==eA==", "isBase64Encoded": True}, "not base64"),
        ({"body": "A" * 131_073, "isBase64Encoded": True}, "not base64"),
        ({"headers": ["x"]}, "headers"),
        ({"headers": {"X": ["y"]}}, "headers"),
        ({"cookies": [1]}, "cookies"),
        ({"cookies": 7}, "cookies"),
        ({"multiValueHeaders": [1]}, "multiValueHeaders"),
        ({"multiValueHeaders": {"X": [["y"]]}}, "multiValueHeaders"),
        ({"multiValueHeaders": {"X": ["a\r\nSet-Cookie: evil=1"]}}, "control character"),
        ({"headers": {"X": "a\r\nSet-Cookie: evil=1"}}, "control character"),
        ({"headers": {"X": "a\x00"}}, "control character"),
        ({"headers": {"X\r\nY": "a"}}, "header name"),
        ({"headers": {"": "a"}}, "header name"),
        ({"cookies": ["a=1\r\nX: y"]}, "control character"),
    ],
)
def test_a_malformed_answer_is_the_functions_fault_and_says_why(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(errors.FunctionFailed, match=reason):
        _reply({"statusCode": 200, **wrong})


def test_each_of_several_values_is_a_header_of_its_own_in_place_of_a_single_one() -> None:
    many = {"Set-Cookie": ["a=1", "b=2"], "x-a": ["1", 2, True, None], "X-B": []}
    reply = _reply({"statusCode": 200, "headers": {"X-A": "single", "X-C": "c"}, "multiValueHeaders": many})
    assert reply.headers == [
        ("X-C", "c"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("x-a", "1"), ("x-a", "2"), ("x-a", "true"),
    ]  # fmt: skip
    assert reply.remarks == ()


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (5, b"5"), (1.5, b"1.5"), (True, b"true"), (0, b"0"), ({"a": [1, 2]}, b'{"a":[1,2]}'), ([], b"[]"),
        ({"big": ["x" * 100_000]}, b'{"big":["' + b"x" * 100_000 + b'"]}'),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_a_body_that_is_no_text_is_sent_as_json(given: Any, body: bytes) -> None:
    answer = {"statusCode": 201, "body": given}
    reply = _reply(answer)
    assert (reply.status, reply.body) == (201, body)
    assert reply.remarks == ("body is no text, so it is sent as JSON",)
    assert replies.remarks(json.dumps(answer).encode()) == reply.remarks


@pytest.mark.parametrize(
    ("given", "remark"),
    [
        ({"cookies": "a=1"}, "cookies is a text, taken as a list of one"),
        ({"isBase64Encoded": "true"}, "isBase64Encoded is neither true nor false, so the body is sent as it stands"),
        ({"isBase64Encoded": 1}, "isBase64Encoded is neither true nor false, so the body is sent as it stands"),
        ({"statusCode": "404"}, 'statusCode is "404", taken as 404'),
        ({"multiValueHeaders": {"X": "y"}}, "multiValueHeaders has no list for 'X', taken as a list of one"),
        ({"statusDescription": "OK", "Body": "x"}, "left out, as it is no part of a response: Body, statusDescription"),
        ({"header": {"a": "b"}}, "left out, as it is no part of a response: header"),
    ],
)
def test_what_is_left_out_or_taken_for_something_else_is_remarked_on(given: dict[str, Any], remark: str) -> None:
    body = json.dumps({"statusCode": 200, "body": "eA==", **given}).encode()
    reply = replies.http_reply(body, False)
    assert reply.remarks == (remark,)
    assert replies.remarks(body) == (remark,)
    assert reply.body == b"eA=="
    assert ("set-cookie", "a=1") in reply.headers or "cookies" not in given
    assert ("X", "y") in reply.headers or "multiValueHeaders" not in given


def test_what_cannot_be_sent_is_remarked_on_and_what_is_no_response_is_not() -> None:
    assert replies.remarks(b'{"statusCode":99}')[0].startswith("malformed HTTP response: statusCode is 99")
    for plain in (b'{"a":1,"header":2}', b'"x"', b"[1]", b'{"a":{"statusCode":"x"}}', b'{"statusCode":200,"body":"x"}'):
        assert replies.remarks(plain) == ()


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'"\\ud800"', b'{"statusCode": 200, "body": "\xff"}', b"x"])
def test_a_result_that_is_not_json_is_the_functions_fault(body: bytes) -> None:
    with pytest.raises(errors.FunctionFailed):
        events.http_reply(body, is_bytes=False)


def test_headers_that_frame_the_message_are_left_to_the_server() -> None:
    framing = {"Content-Length": 9999, "Transfer-Encoding": "chunked", "Connection": "close", "Upgrade": "h2c"}
    assert _reply({"statusCode": 200, "headers": {**framing, "X-Kept": "1"}}).headers == [("X-Kept", "1")]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"statusCode": 200, "cookies": ["a=1"], "body": "x"}', b'{"statusCode":200,"body":"x"}'),
        (
            b'{"statusCode":200,"multiValueHeaders":{"Set-Cookie":["a"],"b":[1]}}',
            b'{"statusCode":200,"multiValueHeaders":{"b":[1]}}',
        ),
        (b'{"statusCode":200,"headers":{"SET-COOKIE":"a","b":1}}', b'{"statusCode":200,"headers":{"b":1}}'),
        (b' {"headers": null, "cookies": [], "statusCode": 9}', b'{"headers":null,"statusCode":9}'),
        (b'{"cookies": ["mine"]}', b'{"cookies": ["mine"]}'),
        (b'{"statusCode": 200, "body": "no c00kie"}', b'{"statusCode": 200, "body": "no c00kie"}'),
        (
            b'{"statusCode":200,"cookies":["a"],"headers":{"Set-Cookie":"a","b":1},"body":"' + b"x" * 70_000 + b'"}',
            b'{"statusCode":200,"headers":{"b":1},"multiValueHeaders":null,"body":"'
            + b"x" * 70_000
            + b'","isBase64Encoded":null}',
        ),
        (b'{"cookies":["' + b"x" * 70_000 + b'"]}', b'{"cookies":["' + b"x" * 70_000 + b'"]}'),
        (b'{"statusCode": 200, "headers": "cookie"}', b'{"statusCode":200,"headers":"cookie"}'),
        (b'{"statusCode": 200, "cookies"', b'{"statusCode": 200, "cookies"'),
        (b'"cookie"', b'"cookie"'),
        (b"cookie \xff", b"cookie \xff"),
    ],
)
def test_cookies_and_nothing_else_can_be_taken_from_a_result(body: bytes, kept: bytes) -> None:
    assert replies.without_cookies(body) == kept


@given(st.binary(max_size=64).map(lambda data: b'{"statusCode":200,"cookies":' + data + b"}"))
def test_a_result_from_which_cookies_are_taken_may_be_anything(body: bytes) -> None:
    replies.without_cookies(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"statusCode":200,"cookies":[' + b",".join([b'"a=1"'] * 1_000_000) + b"]}", "cookies has over 65536 bytes"),
        (b'{"statusCode":200,"cookies":[' + b",".join([b'"a=1"'] * 257) + b"]}", "over 256 headers and cookies"),
        (
            b'{"statusCode":200,"headers":{' + b",".join(b'"x%d":1' % n for n in range(257)) + b"}}",
            "over 256 headers and cookies",
        ),
        (b'{"statusCode":200,"headers":{"x":"' + b"x" * 66_000 + b'"}}', "headers has over 65536 bytes"),
        (b'{"statusCode":[' + b"1," * 1_000_000 + b"1]}", "statusCode has over 65536 bytes"),
        (b'{"statusCode":"' + b"2" * 1_000 + b'"}', "statusCode is"),
        (b'{"statusCode":200,"isBase64Encoded":[' + b"1," * 100_000 + b"1]}", "isBase64Encoded has over 65536 bytes"),
        (b'{"statusCode":200,"headers":{"' + b"a " * 10_000 + b'":"1"}}', "is not one that HTTP allows"),
        (b'{"statusCode":200,"headers":{"a":"' + b"b" * 10_000 + b'\\n"}}', "holds a control character"),
        (b'{"statusCode":200,"headers":{"' + b"a" * 10_000 + b'":"\\n"}}', "holds a control character"),
        (b"[" * 30_000 + b"]" * 30_000, "nested too deeply"),
        (b'{"statusCode":200,"body":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nested too deeply"),
    ],
    ids=lambda value: value[:30].decode() if isinstance(value, bytes) else "",
)
def test_what_would_keep_the_event_loop_is_the_functions_fault_and_told_in_few_words(body: bytes, reason: str) -> None:
    began = time.process_time()
    with pytest.raises(errors.FunctionFailed, match=reason) as failed:
        events.http_reply(body, is_bytes=False)
    assert len(failed.value.message) < 400
    assert time.process_time() - began < 0.5


def test_a_large_body_and_large_keys_of_ones_own_are_no_offence() -> None:
    large = "x" * 1_000_000
    assert _reply({"statusCode": 200, "body": large, "headers": {"X-A": "1"}}).body == large.encode()
    for own in ({"headers": [1] * 100_000}, {"cookies": large, "body": 3}, {"a": large}, [large]):
        body = json.dumps(own, separators=(",", ":")).encode()
        assert events.http_reply(body, is_bytes=False) == events.Reply(
            200, [("content-type", "application/json")], body
        )


@pytest.mark.parametrize("large", [[1] * 100_000, {"a": ["b"] * 50_000}])
def test_a_large_value_is_sent_as_it_came(large: Any) -> None:
    body = json.dumps(large).encode()  # with blanks that a smaller one would lose
    assert events.http_reply(body, is_bytes=False).body is body


def test_as_many_fields_as_may_be_are_sent() -> None:
    made = _reply({"statusCode": 200, "headers": {f"x-{n}": n for n in range(200)}, "cookies": ["a=1"] * 56})
    assert len(made.headers) == 256


def test_deep_nesting_does_not_stop_cookies_from_being_left_out() -> None:
    deep = b'{"statusCode":200,"cookies":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert replies.without_cookies(deep) == deep


def test_cookies_are_left_out_of_a_large_response_and_nothing_else() -> None:
    large = {
        "statusCode": 201,
        "headers": {"Set-Cookie": "a=1", "X-A": "1"},
        "cookies": ["b=2"],
        "body": "é\0" * 50_000,
    }
    kept = events.http_reply(replies.without_cookies(json.dumps(large).encode()), is_bytes=False)
    assert kept == _reply({"statusCode": 201, "headers": {"X-A": "1"}, "body": large["body"]})
    own = json.dumps({"cookies": ["b=2"] * 50_000}).encode()
    assert replies.without_cookies(own) is own


@pytest.mark.parametrize("name", ["Faas-Error", "faas-invocation-id", "FAAS-Anything", "Faas_Error", "faas-"])
def test_header_fields_of_the_platform_are_left_out_whatever_a_handler_says(name: str) -> None:
    body = json.dumps({"statusCode": 200, "headers": {name: "platform", "X-Faas-Error": "mine"}}).encode()
    assert replies.http_reply(body, False).headers == [("X-Faas-Error", "mine")]


def test_no_cookie_is_kept_whose_name_is_written_in_escapes() -> None:
    body = b'{"statusCode":200,"c\\u006fokies":["a=1"],"headers":{"Set\\u002dCook\\u0069e":"b=1","X":"y"}}'
    reply = replies.http_reply(replies.without_cookies(body), is_bytes=False)
    assert reply.headers == [("X", "y")]


@pytest.mark.parametrize(
    ("told", "sent", "to_head"),
    [("12345", 0, 12345), (12345, 0, 12345), ("-1", 0, 0), ("²", 0, 0), ("1" * 19, 0, 0), ("", 0, 0), (None, 0, 0)],
)
def test_to_head_the_length_is_told_that_a_result_without_a_body_names(told: object, sent: int, to_head: int) -> None:
    for part in ({"headers": {"Content-Length": told}}, {"multiValueHeaders": {"content-length": [told]}}):
        reply = replies.http_reply(json.dumps({"statusCode": 200, **part}).encode(), False)
        assert f"Content-Length: {sent}\r\n".encode() in answering.encoded(reply, "id")
        assert f"Content-Length: {to_head}\r\n".encode() in answering.encoded(reply, "id", to_head=True)
    whole = replies.http_reply(b'{"statusCode":200,"headers":{"content-length":"9"},"body":"abc"}', False)
    assert b"Content-Length: 3\r\n" in answering.encoded(whole, "id", to_head=True)
