"""The context, as handlers written for AWS Lambda rely on it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.agent_harness import FUNCTIONS, Agent, started_agent


@pytest.fixture
def agent() -> Iterator[Agent]:
    with started_agent() as agent:
        agent.load(FUNCTIONS / "context_probe")
        yield agent


def test_the_context_has_lambdas_attributes(agent: Agent) -> None:
    found = agent.invoke(id="an-id", attempt=2, depth=3).result
    assert found["aws_request_id"] == found["invocation_id"] == "an-id"
    assert found["function_name"] == "thing"
    assert found["function_version"] == "7"
    assert found["invoked_function_arn"] == "arn:aws:lambda:local:000000000000:function:thing"
    assert found["memory_limit_in_mb"] == "256"
    assert found["log_group_name"] == "/aws/lambda/thing"
    assert "/[7]" in found["log_stream_name"]
    assert found["identity"] == [None, None]
    assert found["client_context"] is None
    assert found["tenant_id"] is None
    assert (found["attempt"], found["depth"]) == (2, 3)
    assert found["text"] == "<Context thing:7 an-id>"


def test_the_vars_of_a_context_are_its_attributes_and_what_a_handler_puts_there_is_gone_with_the_attempt(
    agent: Agent,
) -> None:
    for event in (None, "puts"):
        assert agent.invoke(event).result["all"] == [
            "attempt",
            "aws_request_id",
            "client_context",
            "depth",
            "function_name",
            "function_version",
            "identity",
            "invocation_id",
            "invoked_function_arn",
            "log_group_name",
            "log_stream_name",
            "memory_limit_in_mb",
            "of_my_own",
            "tenant_id",
        ]
    assert not agent.invoke().result["was_there"]


def test_the_remaining_time_counts_down_from_the_attempts_timeout_and_stops_at_zero(agent: Agent) -> None:
    first, second = agent.invoke(timeout_ms=5_000).result["remaining"]
    assert 4_000 < second <= first < 5_000
    assert agent.invoke(timeout_ms=0).result["remaining"] == [0, 0]


def test_a_client_context_is_an_object_with_custom_env_and_client(agent: Agent) -> None:
    given = {"custom": {"a": 1}, "env": {"locale": "de"}, "client": {"app_title": "App"}}
    found = agent.invoke(client_context=json.dumps(given)).result["client_context"]
    assert found == {"custom": {"a": 1}, "env": {"locale": "de"}, "app_title": "App"}
    assert agent.invoke(client_context="{}").result["client_context"] == {
        "custom": None,
        "env": None,
        "app_title": None,
    }


@pytest.mark.parametrize("text", ["{no", "[1]"])
def test_a_client_context_that_is_no_object_is_an_error_with_lambdas_name(agent: Agent, text: str) -> None:
    assert agent.invoke(client_context=text).error["type"] == "Runtime.LambdaContextUnmarshalError"
    assert agent.invoke().kind == "result"
