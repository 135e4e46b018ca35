"""Results and errors, as handlers written for AWS Lambda rely on them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent_harness import FUNCTIONS, Agent, started_agent

LIMIT = 6_291_556


@pytest.fixture
def agent() -> Iterator[Agent]:
    with started_agent({"photos": Path(__file__).parent}) as agent:
        yield agent


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("none", "null"),
        ("float", "[0.1,1e+300,-2.5]"),
        ("text", '"ü \\"日本\\" \U0001f600"'),
        ("order", '{"z":1,"a":2,"m":3}'),
        ("number keys", '{"1":"c","null":"b"}'),
        ("tuple", "[1,[2]]"),
        ("named", '{"b":1,"a":2}'),
        ("surrogate", '"\\ud800"'),
        ("nan", "NaN"),
        ("infinities", "[Infinity,-Infinity]"),
        ("decimal", '{"price":1.5}'),
        ("decimals", '[1E+2,-0.10,Infinity,NaN,{"of a class":3}]'),
        ("decimals and a surrogate", '["\\ud800",1.5]'),
        ("nested bytes", '{"body":"x"}'),
        ("bytes as key", '{"k":"ü"}'),
        ("named tuple", '{"x":1,"y":[{"x":2,"y":null}]}'),
        ("enums that are values", '[1,"red"]'),
        ("a text that looks marked", '"number 00 1"'),
    ],
)
def test_a_result_is_what_json_makes_of_it(agent: Agent, event: str, body: str) -> None:
    agent.load(FUNCTIONS / "results")
    frame = agent.invoke(event)
    assert frame.kind == "result"
    assert frame.body.decode() == body


def test_nan_passes_as_json_dumps_writes_it(agent: Agent) -> None:
    agent.load(FUNCTIONS / "results")
    assert math.isnan(agent.invoke("nan").result)


@pytest.mark.parametrize(("event", "body"), [("bytes", b"\x00\xffraw"), ("bytearray", b"raw")])
def test_bytes_at_the_top_pass_raw(agent: Agent, event: str, body: bytes) -> None:
    agent.load(FUNCTIONS / "results")
    frame = agent.invoke(event)
    assert frame.header["bytes"] is True
    assert frame.body == body


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("set", "Object of type set is not JSON serializable"),
        ("datetime", "Object of type datetime is not JSON serializable"),
        ("bytes that are no text", "'utf-8' codec can't decode byte 0xff"),
        ("enum", "Object of type Colour is not JSON serializable"),
        ("dataclass", "Object of type Point is not JSON serializable"),
        ("uuid", "Object of type UUID is not JSON serializable"),
        ("decimal key", "not decimal.Decimal"),
        ("huge number", "4300"),
        ("generator", "Object of type generator is not JSON serializable"),
        ("tuple key", "not tuple"),
        ("circle", "Circular reference detected"),
        ("deep", "recursion"),
        ("odd", "odd items"),
    ],
)
def test_what_json_cannot_hold_is_a_marshal_error_that_names_it(agent: Agent, event: str, message: str) -> None:
    agent.load(FUNCTIONS / "results")
    error = agent.invoke(event).error
    assert error["type"] == "Runtime.MarshalError"
    assert error["message"].startswith("Unable to marshal response: ")
    assert message in error["message"]
    assert agent.invoke("none").result is None


def test_an_object_that_could_not_be_a_result_is_one_when_it_can_be(agent: Agent) -> None:
    agent.load(FUNCTIONS / "results", "app.keeps")
    for event, message in (("set", "not JSON serializable"), ("circle", "Circular reference detected")):
        assert message in agent.invoke(event).error["message"]
        assert agent.invoke("plain").result == {"inner": [1], "thing": [1]}


def test_what_a_handler_teaches_json_holds_for_results_too(agent: Agent) -> None:
    agent.load(FUNCTIONS / "results", "app.teaches_json")
    assert agent.invoke().result == {"set": [1, 2]}


@pytest.mark.parametrize("event", [LIMIT, {"bytes": LIMIT}])
def test_a_result_at_the_limit_passes(agent: Agent, event: Any) -> None:
    agent.load(FUNCTIONS / "results")
    assert len(agent.invoke(event).body) == LIMIT


@pytest.mark.parametrize("event", [LIMIT + 1, {"bytes": LIMIT + 1}])
def test_a_result_over_the_limit_is_the_functions_error(agent: Agent, event: Any) -> None:
    agent.load(FUNCTIONS / "results")
    assert agent.invoke(event).error == {
        "type": "Function.ResponseSizeTooLarge",
        "message": "Response payload size (6291557 bytes) exceeded maximum allowed payload size (6291556 bytes).",
        "stack": [],
    }


def test_an_error_has_type_message_and_the_users_own_frames(agent: Agent) -> None:
    agent.load(FUNCTIONS / "raises")
    frame = agent.invoke("plain", id="the-id")
    assert frame.header["id"] == "the-id"
    assert frame.header["exit"] is False
    assert (frame.error["type"], frame.error["message"]) == ("MyError", "my message")
    assert [re.findall(r'raises/app.py", line \d+, in (\w+)\n', entry) for entry in frame.error["stack"]] == [
        ["handler"],
        ["plain"],
    ]
    assert frame.output.startswith("[ERROR] MyError: my message\nTraceback (most recent call last):\n")
    assert "faas_agent" not in frame.output


def test_an_empty_message_is_allowed(agent: Agent) -> None:
    agent.load(FUNCTIONS / "raises")
    frame = agent.invoke("empty")
    assert frame.error["message"] == ""
    assert frame.output.startswith("[ERROR] MyError\nTraceback")


def test_an_error_without_frames_is_told_once(agent: Agent) -> None:
    agent.load(FUNCTIONS / "raises", "app.takes_one")
    line = "[ERROR] TypeError: takes_one() takes 1 positional argument but 2 were given\n"
    assert agent.invoke().output == line


def test_the_log_tells_what_led_to_an_error(agent: Agent) -> None:
    agent.load(FUNCTIONS / "raises")
    frame = agent.invoke("chained")
    assert frame.error["message"] == "the effect"
    assert "KeyError: 'the cause'\n\nThe above exception was the direct cause" in frame.output


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ("deep", "RecursionError", "maximum recursion depth exceeded"),
        ("huge", "MyError", "\x01"),
        ("huge_and_deep", "MyError", "\x01"),
        ("unprintable", "Unprintable", "<str() of this Unprintable raised RuntimeError>"),
        ("leaving_text", "Leaving", "<str() of this Leaving raised SystemExit>"),
        ("stopping_text", "Stopping", "<str() of this Stopping raised KeyboardInterrupt>"),
        ("nameless", "Nameless", "without a name"),
        ("surrogate", "MyError", "?"),
        ("named_at_length", "X" * 500, ""),
        ("interrupt", "KeyboardInterrupt", ""),
        ("memory", "MemoryError", ""),
        ("wrapped", "MyError", "inside a decorator"),
        ("wrong_arguments", "TypeError", "takes 1 positional argument but 2 were given"),
        ("through_bucket", "ValueError", "a key may not hold .."),
        ("undeclared", "PermissionError", "the bucket 'other' is not declared"),
        ("no such kind", "KeyError", "'no such kind'"),
    ],
)
def test_an_error_of_any_kind_costs_its_own_invocation_only(agent: Agent, event: str, kind: str, message: str) -> None:
    agent.load(FUNCTIONS / "raises", buckets={"photos": "read"})
    frame = agent.invoke(event)
    assert frame.error["type"] == kind
    assert message in frame.error["message"]
    assert "faas_agent" not in frame.output + str(frame.error["stack"])
    assert agent.invoke("plain").error["type"] == "MyError"


def test_the_parts_of_an_exception_group_are_in_the_log(agent: Agent) -> None:
    agent.load(FUNCTIONS / "raises")
    output = agent.invoke("grouped").output
    assert "ValueError: one" in output
    assert "TypeError: two" in output


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (1, "RequestId: the-id Error: Runtime exited with error: exit status 1"),
        (0, "RequestId: the-id Error: Runtime exited without providing a reason"),
        ("nothing", "RequestId: the-id Error: Runtime exited without providing a reason"),
        ("text", "RequestId: the-id Error: Runtime exited with error: exit status 1"),
        ("unprintable", "RequestId: the-id Error: Runtime exited with error: exit status 1"),
        (1 << 80, "RequestId: the-id Error: Runtime exited with error: exit status 255"),
    ],
)
def test_sys_exit_is_an_exit_error_and_ends_the_process(agent: Agent, event: Any, message: str) -> None:
    agent.load(FUNCTIONS / "exits")
    frame = agent.invoke(event, id="the-id")
    assert (frame.error["type"], frame.error["message"]) == ("Runtime.ExitError", message)
    assert frame.header["exit"] is True
    assert frame.output.startswith("before the exit\n")
    assert agent.wait() != 0


def test_the_text_of_a_sys_exit_is_in_the_log(agent: Agent) -> None:
    agent.load(FUNCTIONS / "exits")
    assert "the reason\n" in agent.invoke("text").output


def test_sys_exit_in_a_coroutine_is_an_exit_error(agent: Agent) -> None:
    agent.load(FUNCTIONS / "exits", "app.async_handler")
    assert agent.invoke(3).error["type"] == "Runtime.ExitError"


def test_an_exit_without_a_word_closes_the_socket_and_keeps_what_was_printed(agent: Agent) -> None:
    agent.load(FUNCTIONS / "exits")
    agent.send_invoke("at once")
    with pytest.raises(EOFError):
        agent.next_frame()
    assert agent.printed() == "before the exit\n"
    assert agent.wait() == 4


def test_an_event_that_is_no_json_is_an_unmarshal_error(agent: Agent) -> None:
    agent.load(FUNCTIONS / "echo")
    for event in (b"{no", b"", b'"\xff"'):
        assert agent.invoke(event).error["type"] == "Runtime.UnmarshalError"
    assert agent.invoke({"a": ["ü", 1.5, None]}).result == {"a": ["ü", 1.5, None]}
