"""The whole platform in real containers: deployed by command, called over HTTP, recorded and billed."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

HERE = Path(__file__).parent
FUNCTIONS = HERE.parent / "functions"


def _function(handler: str, source: str, **config: Any) -> dict[str, Any]:
    return {"runtime": "python3", "source": source, "handler": handler, "memory": "64MB", "timeout": "20s", **config}


def _by_name(handler: str, source: str, **config: Any) -> dict[str, Any]:
    """A function that is called by its name only: its route takes a method that no test sends."""
    return _function(
        handler, source, triggers=[{"http": {"path": f"/by-name/{source}/{handler}", "methods": ["PUT"]}}], **config
    )


MANIFEST = {
    "buckets": {"photos": {}, "thumbs": {}},
    "functions": {
        "echo": _function("app.echo", "sandbox", triggers=[{"http": {"path": "/echo/{name}"}}]),
        "raw": _by_name("app.raw", "sandbox"),
        "leaves": _by_name("app.leaves", "sandbox"),
        "never-returns": _by_name("app.never_returns", "sandbox", timeout="500ms"),
        "takes-memory": _by_name("app.takes_memory", "sandbox"),
        "forks": _by_name("app.forks", "sandbox", memory="512MB"),
        "prints-much": _by_name("app.prints_much", "sandbox", timeout="120s"),
        "hostile": _by_name("app.hostile", "sandbox"),
        "count": _by_name("app.count", "sandbox"),
        "copies": _function("app.copies", "sandbox", buckets={"photos": "read", "thumbs": "write"}),
        "raises": _by_name("app.handler", "raises"),
        "results": _by_name("app.handler", "results"),
        "slow": _by_name("app.handler", "slow"),
        "no-network": _by_name("app.handler", "no_network"),
        "ticks": _function("app.handler", "echo", triggers=[{"timer": {"every": "1s"}}]),
    },
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    """One platform with one deployment for all tests of this module."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(HERE / "sandbox_functions", project / "sandbox")
    for name in ("raises", "results", "slow", "no_network", "echo"):
        shutil.copytree(FUNCTIONS / name, project / name)
    with platforms.running(tmp_path_factory.mktemp("data"), "--engine", "docker") as made:
        made.deploy(project, MANIFEST)
        yield made
        eventually_sync(made.conserved, within=60)


def test_a_request_becomes_an_event_and_a_result_the_answer(platform: platforms.Platform) -> None:
    answer = platform.call("/echo/Ada?x=1&x=2", b'{"a": 1}', headers={"Content-Type": "application/json"})
    event = answer.json()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert (event["version"], event["rawPath"], event["body"]) == ("2.0", "/echo/Ada", '{"a": 1}')
    assert event["pathParameters"] == {"name": "Ada"}
    assert event["queryStringParameters"] == {"x": "1,2"}
    assert event["requestContext"]["requestId"] == answer.headers["faas-invocation-id"]


def test_bytes_travel_as_base64_and_come_back_raw(platform: platforms.Platform) -> None:
    event = platform.call("/fn/echo", b"\x00\xff", headers={"Content-Type": "image/png"}).json()
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\x00\xff")
    assert platform.call("/fn/raw").body == b"\x00\xffraw"


def test_a_call_leaves_one_record_with_its_times_and_its_cost(platform: platforms.Platform) -> None:
    record = platform.record(platform.call("/fn/count").headers["faas-invocation-id"])
    assert (record["status"], record["trigger"], record["attempt"]) == ("ok", "http", 1)
    assert record["billed_ms"] >= max(1, record["duration_ms"])
    assert 0 < record["memory_mb"] <= record["memory_limit_mb"] == 64
    assert record["cost_pico"] > 0


def test_an_async_call_is_accepted_at_once_and_runs(platform: platforms.Platform) -> None:
    answer = platform.call("/fn/echo", b"{}", headers={"Faas-Invocation-Type": "async"})
    assert answer.status == 202
    assert platform.record(answer.json()["invocation_id"])["status"] == "ok"


@pytest.mark.parametrize(
    ("function", "event", "http_status", "status", "error"),
    [
        ("raises", "plain", 502, "error", "MyError"),
        ("leaves", 3, 502, "error", "Runtime.ExitError"),
        ("never-returns", None, 504, "timeout", "Sandbox.Timedout"),
        ("takes-memory", None, 502, "oom", "Runtime.OutOfMemory"),
        ("hostile", "closes its socket", 502, "error", "Runtime.ProtocolError"),
        ("hostile", "writes garbage", 502, "error", "Runtime.ProtocolError"),
    ],
)
def test_a_function_that_misbehaves_is_told_apart_and_costs_its_own_invocation_only(
    platform: platforms.Platform, function: str, event: object, http_status: int, status: str, error: str
) -> None:
    done = platform.faas("invoke", function, "--data", json.dumps(event), "--json")
    told = json.loads(done.stdout)
    assert (told["status"], told["error"]["type"]) == (status, error)
    assert done.returncode == (10 if status == "timeout" else 8)
    assert "Traceback" not in done.stderr
    answer = platform.call(f"/fn/{function}", json.dumps(event).encode())
    if function not in ("raises", "leaves", "hostile"):  # these read their event, which HTTP wraps
        assert answer.status == http_status
    if answer.status != 200:
        assert answer.headers["faas-error"] == "function"
        assert set(answer.json()["error"]) >= {"code", "message", "invocation_id"}
    assert platform.call("/fn/echo").status == 200


def test_a_function_that_forks_without_end_meets_its_limit_and_leaves_nothing(platform: platforms.Platform) -> None:
    told = json.loads(platform.faas("invoke", "forks", "--json").stdout)
    assert told["status"] in ("ok", "oom"), told  # whichever limit it meets first
    assert platform.call("/fn/echo").status == 200


def test_a_gigabyte_of_output_is_cut_and_the_cut_is_marked(platform: platforms.Platform) -> None:
    told = platform.json("invoke", "prints-much", "--data", '{"mib": 1024}')
    assert told["result"] == "done"
    platform.record(told["invocation_id"])
    lines = platform.json("logs", "prints-much", "--invocation", told["invocation_id"], "--tail", "all")
    kept = "\n".join(line["text"] for line in lines)
    assert 200_000 < len(kept) < 300_000
    assert "cut" in kept or any(line.get("cut") for line in lines)


def test_an_error_shows_the_users_own_traceback_in_the_log(platform: platforms.Platform) -> None:
    done = platform.faas("invoke", "raises", "--data", '"plain"')
    assert done.returncode == 8
    assert "MyError" in done.stderr
    assert "faas_agent" not in done.stderr
    assert "REPORT RequestId:" in done.stderr


def test_a_result_that_json_cannot_hold_is_the_functions_fault(platform: platforms.Platform) -> None:
    told = json.loads(platform.faas("invoke", "results", "--data", '"set"', "--json").stdout)
    assert (told["status"], told["error"]["type"]) == ("error", "Runtime.MarshalError")


@pytest.mark.parametrize("payload", ["{", "hello", "\udcff"])
def test_a_payload_that_is_not_json_is_one_clear_line(platform: platforms.Platform, payload: str) -> None:
    done = platform.faas("invoke", "echo", "--data", payload)
    assert done.returncode == 2
    assert re.fullmatch(r"faas: the payload is not JSON: [^\n]+\n( +hint: [^\n]+\n)?", done.stderr), done.stderr


def test_a_payload_that_is_too_large_is_refused(platform: platforms.Platform) -> None:
    answer = platform.call("/fn/echo", b"x" * 7_000_000)
    assert (answer.status, answer.json()["error"]["code"]) == (413, "too_large")


def test_what_does_not_exist_is_404_also_for_async_calls(platform: platforms.Platform) -> None:
    for headers in ({}, {"Faas-Invocation-Type": "async"}):
        answer = platform.call("/fn/nobody", b"{}", headers=headers)
        assert (answer.status, answer.json()["error"]["code"]) == (404, "not_found")


def test_what_is_no_http_is_refused_in_the_shape_of_every_error(platform: platforms.Platform) -> None:
    for method, status in (("BREW", 400), ("GET", 405)):
        answer = platform.call("/by-name/sandbox/app.raw", method=method)
        assert answer.status == status
        assert set(answer.json()["error"]) >= {"code", "message", "invocation_id"}


def test_a_client_that_hangs_up_frees_what_it_held(platform: platforms.Platform) -> None:
    host, port = platform.facts["gateway"].removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /fn/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    eventually_sync(platform.conserved, within=60)
    assert platform.call("/fn/echo").status == 200


def test_without_network_the_log_says_what_to_change(platform: platforms.Platform) -> None:
    done = platform.faas("invoke", "no-network", "--data", '"urllib"')
    assert done.returncode == 8
    assert "network: outbound" in done.stderr


def test_a_handler_reads_and_writes_objects_through_descriptors(platform: platforms.Platform) -> None:
    inbox = platform.data / "buckets" / "photos"
    inbox.mkdir(parents=True, exist_ok=True)
    (inbox / "a b.txt").write_bytes(b"half")
    thumbs = platform.data / "buckets" / "thumbs"
    thumbs.mkdir(parents=True, exist_ok=True)
    (thumbs / "old").write_bytes(b"old")
    told = platform.json("invoke", "copies", "--data", '"a b.txt"')
    assert (told["status"], sorted(told["result"])) == ("ok", ["a b.txt", "old"])
    assert (thumbs / "a b.txt").read_bytes() == b"halfhalf"
    assert not (thumbs / "old").exists()


def test_a_timer_fires_once_a_second_and_never_starts_cold_again(platform: platforms.Platform) -> None:
    records = eventually_sync(lambda: _at_least(3, platform.json("records", "ticks")), within=60)
    assert {record["trigger"] for record in records} == {"timer"}
    assert len({record["invocation_id"] for record in records}) == len(records)


def test_concurrent_calls_are_all_answered_and_counted(platform: platforms.Platform) -> None:
    statuses: list[int] = []

    def call() -> None:
        statuses.extend(platform.call("/fn/echo", b"{}").status for _ in range(20))

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert statuses == [200] * 160
    eventually_sync(platform.conserved, within=60)


def test_the_bill_is_the_sum_of_the_records(platform: platforms.Platform) -> None:
    answer = platform.call("/fn/count")
    eventually_sync(platform.conserved, within=60)
    platform.record(answer.headers["faas-invocation-id"])
    records = platform.json("records", "count", "--limit", "1000")
    (line,) = [line for line in platform.json("bill")["lines"] if line["name"] == "count"]
    assert line["count"] == len(records)
    assert line["billed_ms"] == sum(record["billed_ms"] for record in records)
    assert line["cost_pico"] == sum(record["cost_pico"] for record in records)


def _at_least(count: int, found: list[Any]) -> list[Any] | None:
    return found if len(found) >= count else None
