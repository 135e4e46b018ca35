"""The platform's events as handlers written for AWS Lambda read them, and their answers as the gateway does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from faas.core import errors, events
from tests.agent_harness import FUNCTIONS, Agent, started_agent

ID = "0190b5a0-0000-7000-8000-000000000001"


@pytest.fixture
def agent() -> Iterator[Agent]:
    with started_agent() as agent:
        yield agent


def request(body: bytes = b"", content_type: str = "application/json", query: str = "a=1&b=2&a=%C3%BC") -> bytes:
    """A request with everything on it, as the gateway would send it on."""
    headers = [("Content-Type", content_type), ("Cookie", "x=1; y=2"), ("X-Twice", "1"), ("x-twice", "2")]
    head = events.http_head(
        method="POST",
        raw_path="/orders/a%20b",
        raw_query=query,
        headers=headers,
        source_ip="192.0.2.1",
        protocol="HTTP/1.1",
        route_key="POST /orders/{number}",
        path_parameters={"number": "a b"},
        domain="api.example",
    )
    return events.http_event(head, body, invocation_id=ID, time_ms=1_700_000_000_000)


def test_a_handler_reads_a_request_and_its_answer_becomes_a_response(agent: Agent) -> None:
    agent.load(FUNCTIONS / "events", "app.http")
    frame = agent.invoke(request(b'{"text": "\xc3\xbc"}'))
    reply = events.http_reply(frame.body, frame.header["bytes"])
    assert reply.status == 200
    assert [value for name, value in reply.headers if name == "set-cookie"] == ["a=1; Path=/", "b=2"]
    assert {("x-number", "5"), ("x-flag", "true")} <= set(reply.headers)
    assert json.loads(reply.body) == {
        "route": "POST /orders/{number}",
        "path": "/orders/a%20b",
        "query": {"a": "1,ü", "b": "2"},
        "cookies": ["x=1", "y=2"],
        "parameters": {"number": "a b"},
        "method": "POST",
        "ip": "192.0.2.1",
        "id": ID,
        "body": '{"text": "ü"}',
    }


def test_a_body_that_is_no_text_arrives_as_base64(agent: Agent) -> None:
    agent.load(FUNCTIONS / "events", "app.http")
    frame = agent.invoke(request(b"\x00\xff", "multipart/form-data; boundary=x"))
    assert json.loads(events.http_reply(frame.body, False).body)["body"] == "00ff"


def test_what_a_request_does_not_have_is_absent(agent: Agent) -> None:
    agent.load(FUNCTIONS / "events", "app.plain")
    event = agent.invoke(request(query="")).result
    assert "body" not in event
    assert "queryStringParameters" not in event
    assert "cookie" not in event["headers"]
    assert event["headers"]["x-twice"] == "1,2"


@pytest.mark.parametrize(
    ("result", "body"),
    [({"a": [1, 2]}, b'{"a":[1,2]}'), ("text ü", "text ü".encode()), (None, b"null"), (1.5, b"1.5")],
)
def test_a_result_without_a_status_is_the_body(agent: Agent, result: object, body: bytes) -> None:
    agent.load(FUNCTIONS / "echo")
    frame = agent.invoke(result)
    reply = events.http_reply(frame.body, frame.header["bytes"])
    assert (reply.status, reply.body) == (200, body)
    assert ("content-type", "application/json") in reply.headers


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "none"},
        {"statusCode": 99},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
    ],
)
def test_an_answer_that_is_no_response_is_the_functions_fault(agent: Agent, result: object) -> None:
    agent.load(FUNCTIONS / "echo")
    frame = agent.invoke(result)
    with pytest.raises(errors.FunctionFailed):
        events.http_reply(frame.body, frame.header["bytes"])


@pytest.mark.parametrize("result", [{"statusCode": "201"}, {"statusCode": 201, "body": None, "unknown": 1}])
def test_a_status_may_be_text_and_a_body_absent(agent: Agent, result: object) -> None:
    agent.load(FUNCTIONS / "echo")
    reply = events.http_reply(agent.invoke(result).body, False)
    assert (reply.status, reply.body) == (201, b"")


def test_a_handler_unquotes_the_key_of_an_upload(agent: Agent) -> None:
    agent.load(FUNCTIONS / "events", "app.upload")
    event = events.upload_event(
        invocation_id=ID,
        bucket="photos",
        key="in/a b+c%41 ü/日.jpg",
        size=123,
        etag="0123456789abcdef0123456789abcdef",
        version="1",
        modified_ns=1_700_000_000_000_000_000,
        region="local",
        configuration="thing-0",
    )
    assert agent.invoke(event).result == ["photos", "in/a b+c%41 ü/日.jpg", 123]


def test_a_timer_is_a_scheduled_event_or_its_own_input(agent: Agent) -> None:
    agent.load(FUNCTIONS / "events", "app.timer")
    event = events.timer_event(invocation_id=ID, due_ms=1_700_000_000_000, function="thing", trigger=0, region="local")
    assert agent.invoke(event).result == ["Scheduled Event", "aws.events", "2023-11-14T22:13:20", 1, {}]


@pytest.mark.parametrize("event", [b' \n{"a":[1]}', b'{"a":[1]}\n ', b'\t{"a":[1]}\r\n'])
def test_space_around_an_event_means_nothing(agent: Agent, event: bytes) -> None:
    agent.load(FUNCTIONS / "echo")
    assert agent.invoke(event).result == {"a": [1]}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b" ", "Expecting value: line 1 column 2 (char 1)"),
        (b"1 2", "Extra data: line 1 column 3 (char 2)"),
        (b"[1,", "Expecting value: line 1 column 4 (char 3)"),
        (b"\xff", "invalid start byte"),
    ],
)
def test_an_event_that_is_no_json_is_an_error_with_lambdas_name(agent: Agent, event: bytes, message: str) -> None:
    agent.load(FUNCTIONS / "echo")
    error = agent.invoke(event).error
    assert error["type"] == "Runtime.UnmarshalError"
    assert error["message"].startswith("Unable to unmarshal input: ") and message in error["message"]
