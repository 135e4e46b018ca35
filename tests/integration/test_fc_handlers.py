"""Handlers for Alibaba's Function Compute run unchanged; those of other platforms are told what they are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_harness import FUNCTIONS, Agent, Frame, started_agent

CODE = FUNCTIONS / "function_compute"
REQUEST = {
    "version": "2.0",
    "rawPath": "/a%20b/%E4%B8%AD",
    "rawQueryString": "x=1&x=2",
    "queryStringParameters": {"x": "1,2"},
    "cookies": ["k=v", "l=w"],
    "headers": {"host": "example.com:8080", "content-type": "text/plain", "content-length": "3", "x-own": "1"},
    "requestContext": {"http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "10.0.0.1"}},
    "body": base64.b64encode("ü".encode()).decode(),
    "isBase64Encoded": True,
}


@pytest.fixture
def agent() -> Iterator[Agent]:
    with started_agent() as agent:
        yield agent


def loaded(agent: Agent, handler: str, **fields: Any) -> Frame:
    frame = agent.load(CODE, f"app.{handler}", **fields)
    assert frame.kind == "loaded", frame
    return frame


def test_a_handler_of_events_finds_bytes_and_its_context(agent: Agent) -> None:
    env = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret"}
    frame = loaded(agent, "handler", style="fc", initializer="app.initialize", env=env, timeout_ms=30_000)
    assert "initializing thing" in frame.output
    frame = agent.invoke({"key": "ü"}, id="the-id")
    assert frame.result == {
        "key": "ü",
        "started": 1,
        "request": "the-id",
        "function": ["thing", "app.handler", 256, 30],
        "service": ["default", "", "LATEST"],
        "where": ["local", "000000000000"],
        "credentials": ["id", "secret", ""],
        "json": [
            *("account_id", "credentials", "function", "region", "requestId", "request_id", "retry_count", "service"),
            "tracing",
        ],
    }
    assert "[INFO]" in frame.output and "got bytes" in frame.output
    assert agent.invoke({"key": 1}).result["started"] == 1


def test_an_initializer_that_fails_is_an_init_error(agent: Agent) -> None:
    frame = agent.load(CODE, "app.handler", style="fc", initializer="app.failing")
    assert (frame.kind, frame.error["type"], frame.error["message"]) == ("load_error", "RuntimeError", "no database")


def test_an_initializer_that_is_not_named_is_told_of(agent: Agent) -> None:
    printed = loaded(agent, "handler", style="fc").output
    assert "[WARNING] initialize is not called: write `initializer: app.initialize` in faas.yaml\n" in printed
    assert "[WARNING] pre_stop is not called: write `pre_stop: app.pre_stop` in faas.yaml\n" in printed


def test_what_is_to_run_before_the_end_runs_when_the_runner_says_so(agent: Agent) -> None:
    loaded(agent, "plain", style="fc", pre_stop="app.pre_stop")
    agent.invoke()
    agent.send({"t": "stop"})
    assert agent.wait() == 0
    assert agent.printed() == "stopping thing\n"


@pytest.mark.parametrize(
    ("handler", "event", "result"),
    [
        ("plain", None, "hello world"),
        ("raw", b'"x"', b'\x00\xff"x"'),
        ("echoes", b'{"a": [1, 2.50]}', {"a": [1, 2.5]}),
        ("echoes", b"\xff", b"\xff"),
        ("echoes", b'  "text"', "text"),
    ],
)
def test_a_result_is_text_or_bytes_or_what_they_are_json_of(
    agent: Agent, handler: str, event: bytes | None, result: object
) -> None:
    loaded(agent, handler, style="fc")
    assert agent.invoke(event).result == result


def test_a_wsgi_application_answers_requests_and_is_found_out(agent: Agent) -> None:
    assert "taken for a handler of Function Compute (`style: fc`)" in loaded(agent, "wsgi").output
    answer = agent.invoke(REQUEST, id="the-id").result
    assert (answer["statusCode"], answer["cookies"]) == ("201", ["a=1", "b=2"])
    assert answer["headers"] == {"Content-type": "application/json"}
    found = json.loads(base64.b64decode(answer["body"]))
    assert found == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/中".encode().decode("latin-1"),
        "QUERY_STRING": "x=1&x=2",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "2",
        "SERVER_NAME": "example.com",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_HOST": "example.com:8080",
        "HTTP_X_OWN": "1",
        "HTTP_COOKIE": "k=v; l=w",
        "uri": "/a%20b/%E4%B8%AD?x=1&x=2",
        "request": "the-id",
        "body": "ü",
    }


def test_so_does_one_that_is_a_class(agent: Agent) -> None:
    loaded(agent, "Application")
    assert base64.b64decode(agent.invoke({"any": "event"}).result["body"]) == b"Hello world!\n"


def test_one_that_starts_no_response_is_told_so(agent: Agent) -> None:
    loaded(agent, "never_starts")
    assert "did not call start_response" in agent.invoke(REQUEST).error["message"]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (
            {**REQUEST, "body": "x", "isBase64Encoded": False},
            {"version": "v1", "queryParameters": {"x": "1,2"}, "body": "x", "rawPath": "/a%20b/%E4%B8%AD"},
        ),
        (
            {"Records": [{"awsRegion": "r", "s3": {"bucket": {"name": "in"}, "object": {"key": "a+b%2F", "size": 1}}}]},
            {"events": [{"eventSource": "acs:oss", "region": "r", "oss": {"object": {"key": "a b/", "size": 1}}}]},
        ),
        (
            {"source": "aws.events", "detail-type": "Scheduled Event", "time": "t", "resources": ["arn:x/daily"]},
            {"triggerTime": "t", "triggerName": "daily", "payload": ""},
        ),
        ({"Records": 1}, {"Records": 1}),
    ],
)
def test_events_have_the_shapes_of_function_compute(agent: Agent, given: object, made: dict[str, Any]) -> None:
    loaded(agent, "echoes", style="fc")
    assert _holds(agent.invoke(given).result, made)


def _holds(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(key in found and _holds(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


@pytest.mark.parametrize("style", ["auto", "lambda"])
def test_a_handler_that_shows_nothing_is_lambdas(agent: Agent, style: str) -> None:
    loaded(agent, "lambdas", style=style)
    assert agent.invoke({}, id="the-id").result == ["dict", "the-id"]


SHOWS_FC = {
    "request_id": "def handler(event, context):\n    return context.request_id\n",
    "credentials": "def handler(event, ctx):\n    return ctx.credentials.access_key_id or ctx.request_id\n",
    "service": "def handler(evt, context):\n    name = context.service.name\n    return context.request_id\n",
}
SHOWS_NOTHING = {
    "another's": "def handler(event, context):\n    return Own().request_id\nclass Own:\n    request_id = 'the-id'\n",
    "its own": "def handler(event, context):\n    context = Own()\n    return context.request_id\n"
    "class Own:\n    request_id = 'the-id'\n",
    "decorated": "def same(f):\n    return f\n@same\ndef handler(event, context):\n"
    "    return getattr(context, 'request_id', 'the-id')\n",
    "asked": "def handler(event, context):\n    return getattr(context, 'request_id', context.aws_request_id)\n",
}


@pytest.mark.parametrize("name", SHOWS_FC)
def test_a_handler_that_shows_it_is_function_computes(agent: Agent, tmp_path: Path, name: str) -> None:
    (tmp_path / "app.py").write_text(SHOWS_FC[name])
    assert "`style: fc`" in agent.load(tmp_path).output
    assert agent.invoke(id="the-id").result == "the-id"


@pytest.mark.parametrize("name", SHOWS_NOTHING)
def test_one_that_uses_such_names_otherwise_is_lambdas(agent: Agent, tmp_path: Path, name: str) -> None:
    (tmp_path / "app.py").write_text(SHOWS_NOTHING[name])
    assert agent.load(tmp_path).output == ""
    assert agent.invoke(id="the-id").result == "the-id"


AZURE = (
    "import sys, types\nsys.modules['azure'] = types.ModuleType('azure')\nfunc = types.ModuleType('azure.functions')\n"
)
OTHERS = {
    "Google": "import functions_framework\n@functions_framework.http\ndef handler(request):\n    return 'x'\n",
    "Azure": f"{AZURE}def handler(req):\n    return 'x'\n",
    "Nuclio": "def init_context(context): ...\ndef handler(context, event):\n    return 'x'\n",
    "Fn": "import io\ndef handler(ctx, data: io.BytesIO = None):\n    return 'x'\n",
    "OpenFaaS (handle(req))": "def handle(req):\n    return req\nhandler = handle\n",
    "OpenFaaS (handle uses event.body)": "def handle(event, context):\n    return event.body\nhandler = handle\n",
}


@pytest.mark.parametrize("platform", OTHERS)
def test_a_handler_of_another_platform_is_told_what_it_is(agent: Agent, tmp_path: Path, platform: str) -> None:
    (tmp_path / "functions_framework.py").write_text("def http(f):\n    return f\n")
    (tmp_path / "app.py").write_text(OTHERS[platform])
    frame = agent.load(tmp_path)
    assert (frame.kind, frame.error["type"]) == ("load_error", "Runtime.UnsupportedHandler")
    assert platform in frame.error["message"] and "not supported yet" in frame.error["message"]
    assert frame.output.count("\n") == 1


LAMBDAS = {
    "one with a default": "def handler(event, context=None):\n    return 1\n",
    "of any": "def handler(*args):\n    return 1\n",
    "named handle": "def handle(event, context):\n    return event.get('body', 1)\nhandler = handle\n",
    "of a class": "class Handler:\n    def __call__(self, event, context):\n        return 1\nhandler = Handler()\n",
    "a method": "class H:\n    def run(self, event, context):\n        return 1\nhandler = H().run\n",
    "partial": "import functools\ndef f(a, event, context):\n    return 1\nhandler = functools.partial(f, 0)\n",
    "with its own event": "def handle(event, context):\n    event = type('E', (), {'body': 1})\n    return event.body\n"
    "handler = handle\n",
    "built in": "import operator\nhandler = lambda *_: 1\n",
}


@pytest.mark.parametrize("name", LAMBDAS)
def test_a_handler_of_lambda_is_taken_for_nothing_else(agent: Agent, tmp_path: Path, name: str) -> None:
    (tmp_path / "app.py").write_text(LAMBDAS[name])
    assert agent.load(tmp_path).kind == "loaded"
    assert agent.invoke({}).result == 1
