"""Logging, as handlers written for AWS Lambda rely on it."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator

import pytest

from tests.agent_harness import FUNCTIONS, Agent, started_agent

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def agent() -> Iterator[Agent]:
    with started_agent() as agent:
        agent.first_output = agent.load(FUNCTIONS / "logs").output  # type: ignore[attr-defined]
        yield agent


def test_a_log_line_has_level_time_request_id_and_message(agent: Agent) -> None:
    frame = agent.invoke("root_logger", id="the-id")
    assert re.fullmatch(
        rf"\[WARNING\]\t{TIME}\tthe-id\tshown ü\n\[INFO\]\t{TIME}\tthe-id\tshown after setLevel\n", frame.output
    )


def test_a_line_logged_while_importing_has_no_request_id(agent: Agent) -> None:
    assert re.fullmatch(rf"\[WARNING\]\t{TIME}\t\twhile importing\n", agent.first_output)  # type: ignore[attr-defined]


def test_the_time_of_a_log_line_is_utc_whatever_zone_the_function_sets() -> None:
    with started_agent() as agent:
        agent.load(FUNCTIONS / "logs", env={"TZ": "EST5EDT"})
        stamp = agent.invoke("root_logger").output.split("\t")[1]
        logged = datetime.datetime.fromisoformat(stamp)
        assert abs(datetime.datetime.now(datetime.UTC) - logged) < datetime.timedelta(minutes=5)


def test_the_root_logger_has_one_handler_and_level_warning_and_basic_config_changes_nothing(agent: Agent) -> None:
    assert agent.invoke("root_logger").result == {"handlers": 1, "level": 30}


def test_a_logged_exception_has_its_traceback(agent: Agent) -> None:
    output = agent.invoke("with_traceback").output
    assert "\tit failed\nTraceback (most recent call last):\n" in output
    assert output.endswith("ValueError: inside\n")


def test_all_that_is_printed_is_kept_in_order(agent: Agent) -> None:
    assert agent.invoke("all_streams").output.split("\n") == [
        "one",
        "two without end three on stderr",
        "four from a child",
        "five from its stderr",
        "six from the descriptor",
        "seven in bytes",
        "eight-with-parts",
        "nine, the last, without end",
    ]


def test_lines_that_are_json_pass_unchanged(agent: Agent) -> None:
    first, second = agent.invoke("structured").output.splitlines()
    assert first == '{"level": "INFO", "message": "ünïcode", "nested": {"a": [1, 2]}}'
    assert json.loads(second) == {"_aws": {"Timestamp": 1, "CloudWatchMetrics": []}}


def test_text_that_is_no_unicode_breaks_neither_the_handler_nor_the_log(agent: Agent) -> None:
    agent.send_invoke("odd_text")
    frame = agent.next_frame()
    assert frame.kind == "result"
    assert "lone surrogate \\ud800 and bytes" in frame.output
    assert "not utf-8: �\n" in frame.output


def test_a_redirected_stdout_gets_prints_and_log_lines(agent: Agent) -> None:
    frame = agent.invoke("redirected")
    assert (frame.result, frame.output) == (2, "")


def test_what_a_stream_of_the_users_own_kept_back_is_in_the_log_of_its_invocation(agent: Agent) -> None:
    assert agent.invoke("buffered").output == "kept back by a stream of my own\n"


def test_what_the_usual_stream_was_told_to_keep_back_is_in_the_log_of_its_invocation(agent: Agent) -> None:
    for _ in range(2):
        assert agent.invoke("keeps_back").output == "kept back by the stream that is there\n"


def test_a_handler_that_detaches_stdout_still_has_a_result(agent: Agent) -> None:
    assert (agent.invoke("detached").kind, agent.invoke("structured").kind) == ("result", "error")


def test_a_handler_that_closes_stdout_has_its_sandbox_replaced_when_that_hurts(agent: Agent) -> None:
    assert agent.invoke("closed").kind == "result"
    hurt = agent.invoke("prints")
    assert hurt.error["type"] == "ValueError"
    assert hurt.header["exit"] is True
