from __future__ import annotations

import base64
import json
import urllib.parse
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from faas.core import errors, events
from tests import plain_events


def _http(**changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": "POST",
        "raw_path": "/fn/echo",
        "raw_query": "",
        "headers": [("Host", "localhost:8080"), ("User-Agent", "curl/8"), ("Content-Type", "application/json")],
        "body": b'{"a":1}',
        "source_ip": "127.0.0.1",
        "protocol": "HTTP/1.1",
        "invocation_id": "0190-1",
        "route_key": "POST /fn/{name}",
        "path_parameters": {},
        "domain": "shop.example.org",
        "time_ms": 1_700_000_000_123,
    }
    request |= changes
    rest = {key: request.pop(key) for key in ("body", "invocation_id", "time_ms")}
    event: dict[str, Any] = json.loads(events.http_event(events.http_head(**request), **rest))
    return event


def test_an_http_event_holds_every_key_that_the_format_requires() -> None:
    event = _http()
    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /fn/{name}"
    assert event["body"] == '{"a":1}'
    assert event["isBase64Encoded"] is False
    assert event["headers"]["user-agent"] == "curl/8"
    assert event["requestContext"] == {
        "accountId": events.ACCOUNT_ID,
        "apiId": "shop",
        "domainName": "shop.example.org",
        "domainPrefix": "shop",
        "http": {
            "method": "POST",
            "path": "/fn/echo",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "curl/8",
        },
        "requestId": "0190-1",
        "routeKey": "POST /fn/{name}",
        "stage": "$default",
        "time": "14/Nov/2023:22:13:20 +0000",
        "timeEpoch": 1_700_000_000_123,
    }


def test_optional_keys_are_absent_when_there_is_nothing_in_them() -> None:
    event = _http(body=b"", headers=[])
    assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & event.keys()
    assert event["headers"] == {}
    assert event["requestContext"]["http"]["userAgent"] == ""


def test_path_and_query_are_as_sent_and_parameters_are_decoded() -> None:
    event = _http(raw_path="/a%2Fb%20c", raw_query="q=a%20b+c&q=2&empty=", path_parameters={"name": "x"})
    assert event["rawPath"] == "/a%2Fb%20c"
    assert event["rawQueryString"] == "q=a%20b+c&q=2&empty="
    assert event["queryStringParameters"] == {"q": "a b c,2", "empty": ""}
    assert event["pathParameters"] == {"name": "x"}


def test_repeated_headers_are_joined_and_cookies_are_listed_apart() -> None:
    event = _http(headers=[("X-A", "1"), ("Cookie", "a=1; b=2"), ("x-a", "2"), ("cookie", "c=3")])
    assert event["headers"] == {"x-a": "1,2"}
    assert event["cookies"] == ["a=1", "b=2", "c=3"]


@pytest.mark.parametrize(
    ("content_type", "body", "is_text"),
    [
        ("text/html; charset=utf-8", "é".encode(), True),
        ("application/json", b"{}", True),
        ("application/vnd.api+json", b"{}", True),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("Application/XML", b"<a/>", True),
        ("text/plain; charset=latin-1", b"\xe9", False),
        ("multipart/form-data; boundary=x", b"--x--", False),
        ("application/octet-stream", b"abc", False),
        ("image/png", b"\x89PNG", False),
    ],
)
def test_a_body_is_text_only_by_its_type_and_its_bytes(content_type: str, body: bytes, is_text: bool) -> None:
    event = _http(headers=[("Content-Type", content_type)], body=body)
    assert event["isBase64Encoded"] is not is_text
    assert event["body"] == (body.decode() if is_text else base64.b64encode(body).decode())


def test_a_compressed_body_travels_as_base64_whatever_its_type() -> None:
    event = _http(headers=[("Content-Type", "text/plain"), ("Content-Encoding", "br")], body=b"abc")
    assert event["isBase64Encoded"] is True


def test_a_body_without_a_type_is_text_when_it_can_be() -> None:
    assert _http(headers=[], body=b"hello")["body"] == "hello"
    assert _http(headers=[], body=b"\xff")["isBase64Encoded"] is True


def test_headers_that_are_no_utf8_still_make_an_event_and_spare_those_that_are() -> None:
    event = _http(headers=[("X-Old", "caf\udce9"), ("X-New", "café"), ("Cookie", "a=\udce9")])
    assert event["headers"] == {"x-old": "café", "x-new": "café"}
    assert event["cookies"] == ["a=é"]


TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('\\"\n\0%&=;+') | st.just("\udce9"), max_size=12
)
NAMES = st.sampled_from(
    ["Host", "User-Agent", "Content-Type", "content-type", "Content-Encoding", "Cookie", "cookie", "X-A", "x-a"]
)
VALUES = TEXT | st.sampled_from(["text/plain", "application/json", "image/png", "gzip", "a=1; b=2;;", " "])
QUERIES = st.lists(st.sampled_from(["a", "b=1", "a=%20+x", "=", "%ff=%00", 'é="', ";"]), max_size=4).map("&".join)


@hypothesis.given(
    method=st.sampled_from(["GET", "POST"]),
    raw_path=TEXT,
    raw_query=QUERIES,
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    body=st.binary(max_size=20) | TEXT.map(lambda text: text.encode("utf-8", "surrogateescape")),
    source_ip=st.sampled_from(["", "::1", "192.0.2.1"]),
    protocol=st.sampled_from(["HTTP/1.0", "HTTP/1.1"]),
    route_key=TEXT,
    path_parameters=st.dictionaries(TEXT, TEXT, max_size=2),
    domain=TEXT,
    time_ms=st.integers(0, 2**42),
)
def test_an_event_that_is_joined_is_the_one_that_is_made_at_once(**request: Any) -> None:
    expected = plain_events.http(invocation_id="0190-1", **request)
    assert _http(invocation_id="0190-1", **request) == json.loads(expected)


def test_a_due_time_reads_as_a_scheduled_event() -> None:
    event = json.loads(
        events.timer_event(
            invocation_id="0190-2", due_ms=1_700_000_000_999, function="digest", trigger=1, region="local"
        )
    )
    assert event == {
        "version": "0",
        "id": "0190-2",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": events.ACCOUNT_ID,
        "time": "2023-11-14T22:13:20Z",
        "region": "local",
        "resources": [f"arn:aws:events:local:{events.ACCOUNT_ID}:rule/digest-1"],
        "detail": {},
    }


def test_a_timers_own_input_replaces_its_event() -> None:
    given = events.timer_event(
        invocation_id="x", due_ms=0, function="f", trigger=0, region="local", given=b'{"job":"nightly"}'
    )
    assert given == b'{"job":"nightly"}'


def test_an_upload_reads_as_an_s3_notification() -> None:
    event = json.loads(_upload("in/a b+ü%.jpg", modified_ns=1_700_000_000_123_456_789))
    (record,) = event["Records"]
    assert record["eventSource"] == "aws:s3"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["eventTime"] == "2023-11-14T22:13:20.123Z"
    assert record["s3"]["bucket"]["name"] == "photos"
    assert record["s3"]["object"]["key"] == "in/a+b%2B%C3%BC%25.jpg"
    assert record["s3"]["object"] | {"size": 3, "eTag": "e", "versionId": "v"} == record["s3"]["object"]


@pytest.mark.parametrize("key", ["a b", "a+b", "100%.txt", "ü/日本.png", "deep/er/x", "q?&=#.txt", "bad\udcff"])
def test_a_key_survives_unquote_plus(key: str) -> None:
    assert urllib.parse.unquote_plus(events.form_key(key), errors="surrogateescape") == key


def test_a_later_version_of_a_key_has_a_greater_sequencer() -> None:
    times = [9, 10, 1_700_000_000_000_000_000]
    found = [json.loads(_upload("k", at))["Records"][0]["s3"]["object"]["sequencer"] for at in times]
    assert found == sorted(found)
    assert len(set(found)) == 3


def _upload(key: str, modified_ns: int) -> bytes:
    return events.upload_event(
        invocation_id="0190-3",
        bucket="photos",
        key=key,
        size=3,
        etag="e",
        version="v",
        modified_ns=modified_ns,
        region="local",
        configuration="transcode-0",
    )


def test_more_parameters_or_cookies_than_a_request_may_have_are_refused() -> None:
    most = "&".join("a=1" for _ in range(events.MOST_PARAMETERS))
    assert _http(raw_query=most)["queryStringParameters"] == {"a": ",".join(["1"] * events.MOST_PARAMETERS)}
    with pytest.raises(errors.BadRequest, match="over 1000 parameters"):
        _http(raw_query=most + "&b=")
    cookies = "; ".join("a=1" for _ in range(events.MOST_COOKIES))
    assert len(_http(headers=[("Cookie", cookies)])["cookies"]) == events.MOST_COOKIES
    for over in ([("Cookie", cookies + "; b=1")], [("Cookie", cookies), ("cookie", "b=1")], [("cookie", ";" * 60_000)]):
        with pytest.raises(errors.HeadTooLarge, match="over 500 cookies"):
            _http(headers=over)
