"""Functions of the field's own libraries, installed from their packages, unchanged."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from faas.core import events
from tests.agent_harness import FUNCTIONS, Agent, started_agent
from tests.http_requests import ID, http
from tests.installed_functions import installed


@contextmanager
def loaded(name: str, request: pytest.FixtureRequest, handler: str = "app.handler") -> Iterator[Agent]:
    folder = installed(FUNCTIONS / name, request.config.cache.mkdir("functions"))
    with started_agent() as agent:
        frame = agent.load(folder, handler, env={"POWERTOOLS_LOG_LEVEL": "INFO"})
        assert frame.kind == "loaded", frame.output
        yield agent


def answer(agent: Agent, event: bytes) -> tuple[int, Any]:
    """Status and decoded JSON body of the answer, read as the gateway reads it."""
    frame = agent.invoke(event)
    assert frame.kind == "result", frame.output
    reply = events.http_reply(frame.body, frame.header["bytes"])
    return reply.status, json.loads(reply.body)


def test_powertools_routes_logs_and_measures(request: pytest.FixtureRequest) -> None:
    with loaded("powertools", request) as agent:
        agent.send_invoke(http("GET", "/orders/7", "fields=few"))
        frame = agent.next_frame()
        reply = events.http_reply(frame.body, False)
        assert json.loads(reply.body) == {"number": "7", "wanted": "few"}
        lines = [json.loads(line) for line in frame.output.splitlines()]
        (logged,) = [line for line in lines if line.get("message") == "an order"]
        assert (logged["function_request_id"], logged["cold_start"]) == (ID, True)
        assert (logged["function_name"], logged["function_memory_size"]) == ("thing", "256")
        assert logged["correlation_id"] == ID
        assert any(line.get("Orders") == [1.0] for line in lines)
        assert any(line.get("ColdStart") == [1.0] for line in lines)
        assert answer(agent, http("POST", "/orders", body=b'{"a": 1}')) == (201, {"created": {"a": 1}})
        assert answer(agent, http("GET", "/nowhere"))[0] == 404


@pytest.mark.parametrize(
    ("handler", "event", "result"),
    [
        ("http_model", http("GET", "/a%20b", "x=1&x=2"), {"path": "/a%20b", "agent": "tester/1"}),
        (
            "http_class",
            http("POST", "/p", body=b"text", cookie="a=1; b=2"),
            ["POST", "/p", ["a=1", "b=2"], "text"],
        ),
        (
            "upload_model",
            events.upload_event(
                invocation_id=ID,
                bucket="photos",
                key="in/ü a+b.jpg",
                size=5,
                etag="0123456789abcdef0123456789abcdef",
                version="1",
                modified_ns=1_700_000_000_000_000_000,
                region="local",
                configuration="thing-0",
            ),
            ["in/%C3%BC+a%2Bb.jpg"],
        ),
        (
            "timer_model",
            events.timer_event(invocation_id=ID, due_ms=1_700_000_000_000, function="thing", trigger=0, region="local"),
            ["Scheduled Event", "aws.events", "2023-11-14T22:13:20+00:00"],
        ),
    ],
)
def test_powertools_models_accept_the_platforms_events(
    request: pytest.FixtureRequest, handler: str, event: bytes, result: Any
) -> None:
    with loaded("powertools", request, f"app.{handler}") as agent:
        assert agent.invoke(event).result == result


def test_a_fastapi_application_answers_through_mangum(request: pytest.FixtureRequest) -> None:
    with loaded("fastapi_mangum", request) as agent:
        frame = agent.invoke(http("GET", "/notes/first", "q=a%20b"))
        assert json.loads(frame.result["body"]) == {"name": "first", "q": "a b", "id": ID, "agent": "tester/1"}
        assert frame.result["cookies"] == ["seen=first; Path=/; SameSite=lax"]
        assert answer(agent, http("GET", "/notes/missing")) == (404, {"detail": "no such note"})
        created = http("POST", "/notes", body=b'{"title": "t"}', content_type="application/json")
        assert answer(agent, created) == (201, {"title": "t", "stars": 0})
        wrong = http("POST", "/notes", body=b'{"stars": "x"}', content_type="application/json")
        assert answer(agent, wrong)[0] == 422
        picture = agent.invoke(http("GET", "/picture")).result
        assert picture["isBase64Encoded"] is True
        assert base64.b64decode(picture["body"]) == b"\x89PNG\x00\xff"
        broken = agent.invoke(http("GET", "/broken"))
        assert broken.result["statusCode"] == 500
        assert "RuntimeError: a bug in a route" in broken.output


def test_a_flask_application_answers_through_a_wsgi_adapter(request: pytest.FixtureRequest) -> None:
    with loaded("flask_wsgi", request) as agent:
        frame = agent.invoke(http("GET", "/hello/you", "q=1&q=2"))
        assert json.loads(frame.result["body"])["hello"] == "you"
        assert json.loads(frame.result["body"])["host"] == "api.example"
        assert len(frame.result["cookies"]) == 2
        assert "saying hello" in frame.output
        form = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nme\r\n'
        form += b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n\x00\xff\r\n--x--\r\n'
        upload = http("POST", "/upload", body=form, content_type="multipart/form-data; boundary=x")
        assert answer(agent, upload) == (200, {"name": "me", "size": 2})
        raw = agent.invoke(http("GET", "/bytes"))
        assert events.http_reply(raw.body, False).body == b"\x00\xff"


def test_a_django_application_answers_through_a_wsgi_adapter(request: pytest.FixtureRequest) -> None:
    with loaded("django_wsgi", request) as agent:
        expected = {"following": 8, "method": "GET", "body": ""}
        assert answer(agent, http("GET", "/items/7/")) == (200, expected)
        post = http("POST", "/items/1/", body="ü".encode(), content_type="text/plain; charset=utf-8")
        assert answer(agent, post) == (200, {"following": 2, "method": "POST", "body": "ü"})
        assert agent.invoke(http("GET", "/nowhere/")).result["statusCode"] == 404
