"""The commands that show and change things, as processes against a control API: data on stdout, talk on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from faas.cli import platform_dir
from faas.cluster import catalog
from faas.core import model
from faas.core import settings as settings_module
from tests.command import FAAS, Ran, environment, faas
from tests.served_api import GATEWAY, ControlApi, serving
from tests.terminals import shown

DAY_MS = 86_400_000


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        served.deploy()
        yield served


async def ok(api: ControlApi, *arguments: str, **more: str) -> Ran:
    """A command that must succeed and say nothing on stderr."""
    ran = await faas(api.settings.data.root, *arguments, **more)
    assert (ran.code, ran.err) == (0, ""), ran
    return ran


def columns(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


async def test_ls_lists_functions_one_a_line(api: ControlApi) -> None:
    api.deploy("another", model.FunctionConfig(runtime="python3.11", handler="a.b"))
    header, first, second = (await ok(api, "ls")).out.splitlines()
    assert columns(header)[:3] == ["FUNCTION", "REVISION", "RUNTIME"]
    assert columns(first)[:6] == ["another", "1", "python3.11", "256 MB", "30.0 s", "-"]
    assert columns(second)[5] == "http GET /hello/{name}, timer every 10.0 s, upload photos/in/*.jpg"
    assert [each["name"] for each in (await ok(api, "ls", "--json")).json] == ["another", "hello"]


async def test_a_platform_without_functions_has_an_empty_list(settings: settings_module.Settings) -> None:
    async with serving(settings) as api:
        assert (await ok(api, "ls", "--json")).json == []
        assert len((await ok(api, "ls")).out.splitlines()) == 1


async def test_describe_shows_configuration_revisions_urls_and_places(api: ControlApi) -> None:
    api.deploy()
    found = (await ok(api, "describe", "hello", "--json")).json
    assert found["urls"] == [f"{GATEWAY}/hello/{{name}}", f"{GATEWAY}/fn/hello"]
    assert (found["revision"], len(found["revisions"]), found["places"]["drift"]) == (2, 2, 0)
    lines = (await ok(api, "describe", "hello")).out.splitlines()
    facts = {line[:12].strip(): line[12:] for line in lines}
    assert (facts["function"], facts["handler"], facts["env"]) == ("hello@2", "app.handler", "QUALITY=80")
    assert facts["bucket"] == "photos: read"
    assert any(columns(line)[:1] == ["1"] for line in lines)


async def test_rm_removes_all_that_are_named_or_none(api: ControlApi) -> None:
    api.deploy("second")
    ran = await faas(api.settings.data.root, "rm", "hello", "nobody", "second", "--yes")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines()[0] == "faas: no function is called nobody"
    ran = await faas(api.settings.data.root, "rm", "hello", "second", "--json", "--yes")
    assert (ran.code, ran.json) == (0, {"removed": ["hello", "second"], "alarms_removed": []})
    assert (await ok(api, "ls", "--json")).json == []


async def test_records_are_listed_newest_first_and_filtered(api: ControlApi) -> None:
    old = api.record()
    new = api.record(status=model.Status.TIMEOUT, ended_at_ms=time.time_ns() // 10**6, error=model.Failure("T", "m"))
    lines = (await ok(api, "records")).out.splitlines()
    assert [columns(line)[2] for line in lines[1:]] == [new.invocation_id, old.invocation_id]
    assert "timeout" in lines[1]
    assert [each["status"] for each in (await ok(api, "records", "hello", "--since", "1h", "--json")).json] == [
        "timeout"
    ]
    assert len((await ok(api, "records", "--limit", "1", "--json")).json) == 1
    assert (await ok(api, "records", "--status", "oom", "--json")).json == []


async def test_stats_show_counts_and_percentiles(api: ControlApi) -> None:
    now_ms = time.time_ns() // 10**6
    for n in range(1, 101):
        api.record(duration_us=n * 1_000, ended_at_ms=now_ms)
    api.record(function="old", ended_at_ms=now_ms - 2 * DAY_MS)
    (stats,) = (await ok(api, "stats", "--json")).json
    assert (stats["function"], stats["count"]) == ("hello", 100)
    assert stats["duration_ms"]["p95"] == pytest.approx(95, rel=0.01)
    cells = columns((await ok(api, "stats", "hello")).out.splitlines()[1])
    assert cells[:4] == ["hello", "100", "0", "0"]
    assert [float(cell) for cell in cells[4:8]] == pytest.approx([50, 90, 99, 100], rel=0.01)
    assert [each["function"] for each in (await ok(api, "stats", "--since", "7d", "--json")).json] == ["hello", "old"]
    assert (await faas(api.settings.data.root, "stats", "--since", "7d", "--limit", "1")).err == (
        "faas: 1 of 2 are shown; --limit shows more\n"
    )


async def test_stats_over_time_are_a_row_for_each_piece(api: ControlApi) -> None:
    now_ms = time.time_ns() // 10**6
    today_ms = now_ms // DAY_MS * DAY_MS
    for days, status in ((0, "ok"), (0, "error"), (3, "ok")):
        api.record(ended_at_ms=min(today_ms - days * DAY_MS + 5, now_ms), status=model.Status(status), cost_pico=7)
    lines = (await ok(api, "stats", "hello", "--since", "7d", "--every", "1d")).out.splitlines()
    assert [columns(line)[1:3] for line in lines[1:]] == [["1", "0"], ["2", "1"]]
    assert "▁" not in "".join(lines)
    found = (await ok(api, "stats", "--since", "7d", "--every", "1d", "--by", "status", "--json")).json
    assert {each["name"]: [point["count"] for point in each["points"]] for each in found["series"]} == {
        "error": [1], "ok": [1, 1],
    }  # fmt: skip
    assert (await faas(api.settings.data.root, "stats", "--every", "often")).code == 2


async def test_a_terminal_is_shown_calls_over_time(api: ControlApi) -> None:
    api.record(ended_at_ms=time.time_ns() // 10**6 - 1)
    _, lines = await shown(api.settings.data.root, "stats", columns=140)
    assert "CALLS OVER TIME" in lines[0]
    assert re.search("▁{20,}█", lines[2]), lines
    _, lines = await shown(api.settings.data.root, "stats", columns=140, PYTHONIOENCODING="ascii:replace")
    assert re.search("_{20,}#", lines[2]), lines


async def test_a_bill_adds_up_and_ends_with_its_total(api: ControlApi) -> None:
    for function, trigger, day in (("a", "http", 1), ("a", "timer", 2), ("b", "http", 2)):
        api.record(
            function=function, trigger=trigger, ended_at_ms=day * DAY_MS, billed_ms=1_000, cost_pico=2_500_000_000
        )
    lines = [columns(line) for line in (await ok(api, "bill")).out.splitlines() if line.strip()]
    assert lines[0] == ["FUNCTION", "ATTEMPTS", "BILLED MS", "GB S", "CPU S", "COST"]
    assert lines[1:] == [
        ["a", "2", "2,000", "0.250", "0.000", "0.005000000 USD"],
        ["b", "1", "1,000", "0.125", "0.000", "0.002500000 USD"],
        ["total", "3", "3,000", "0.375", "0.000", "0.007500000 USD"],
    ]
    by_day = (await ok(api, "bill", "--by", "day", "--since", "1970-01-03", "--json")).json
    assert [(line["name"], line["count"]) for line in by_day["lines"]] == [("1970-01-03", 2)]
    total = by_day["total"]
    assert (by_day["currency"], total["billed_ms"], total["cost_decimal"]) == ("USD", 2_000, "0.005")
    by_trigger = (await ok(api, "bill", "--by", "trigger", "--json")).json
    assert {line["name"]: line["count"] for line in by_trigger["lines"]} == {"http": 2, "timer": 1}


async def test_status_shows_the_places_of_every_function_and_the_nodes(api: ControlApi) -> None:
    for _ in range(2):
        await faas(api.settings.data.root, "invoke", "hello", "--async")
    await api.work("hello@1")
    versions = await catalog.Catalog.open(api.settings.redis.redis_url, api.settings.redis.redis_prefix)
    node = catalog.NodeState(catalog=1, host="h", pid=7, memory_mb=100, memory_used_mb=40, sandboxes={"idle": 2})
    await versions.renew("n1", node, 60_000)
    await versions.close()
    found = (await ok(api, "status", "--json")).json
    assert found["functions"]["hello"] == {
        "accepted": 2, "waiting": 1, "running": 0, "retrying": 0, "done": 1, "dead": 0, "drift": 0,
    }  # fmt: skip
    assert (found["gateway"], found["api"], found["drift"]) == (GATEWAY, api.url, 0)
    lines = [columns(line) for line in (await ok(api, "status")).out.splitlines()]
    assert ["hello", "2", "1", "0", "0", "1", "0", "0"] in lines
    assert ["n1", "h", "7", "40 of 100 MB", "2 idle"] in lines


def line(at_ms: int, text: str) -> tuple[model.LogLine, ...]:
    return (model.LogLine(at_ms, text),)


async def test_logs_are_printed_oldest_first_and_filtered(api: ControlApi) -> None:
    now_ms = time.time_ns() // 10**6
    first = api.record(logs=line(1_000, "long ago"))
    api.record(logs=line(now_ms, "just now"))
    api.record(function="other", logs=line(now_ms, "[bold]of another[/bold]"))
    root = api.settings.data.root
    assert (await ok(api, "logs", "hello")).out.splitlines() == [
        f"1970-01-01 00:00:01 {first.invocation_id} long ago",
        *(await ok(api, "logs", "hello", "--since", "1h")).out.splitlines(),
    ]
    assert "other@1" in (await ok(api, "logs", "--search", "[bold]")).out
    found = (await ok(api, "logs", "hello", "--json", "--invocation", first.invocation_id)).json
    assert [(each["at_ms"], each["text"], each["invocation_id"]) for each in found] == [
        (1_000, "long ago", first.invocation_id)
    ]
    assert len((await ok(api, "logs", "--json")).json) == 3
    assert (await faas(root, "logs", "nobody")).code == 4
    assert (await ok(api, "logs", "other", "--json")).json[0]["text"] == "[bold]of another[/bold]"


async def test_more_lines_than_a_page_are_all_printed(api: ControlApi) -> None:
    api.record(logs=tuple(model.LogLine(1, str(n)) for n in range(2_500)))
    texts = [each["text"] for each in (await ok(api, "logs", "hello", "--json", "--tail", "all")).json]
    assert texts == [str(n) for n in range(2_500)]


async def test_the_last_hundred_lines_are_printed_and_that_there_are_more_is_said(api: ControlApi) -> None:
    api.record(logs=tuple(model.LogLine(n * 1_000, str(n)) for n in range(250)))

    async def texts(*flags: str) -> list[str]:
        return [each["text"] for each in (await ok(api, "logs", "hello", "--json", *flags)).json]

    ran = await faas(api.settings.data.root, "logs", "hello", "--json")
    assert [each["text"] for each in ran.json] == [str(n) for n in range(150, 250)]
    assert ran.err == "faas: lines before the last 100 are left out; --tail all prints all\n"
    assert await texts("--tail", "3") == ["247", "248", "249"]
    assert await texts("-n", "0") == []
    assert await texts("--until", "1970-01-01T00:00:02+00:00") == ["0", "1", "2"]
    assert await texts("--tail", "2", "--until", "1970-01-01T00:00:09+00:00") == ["8", "9"]
    assert len(await texts("--tail", "250")) == 250
    for wrong in ("-1", "few", "10001"):
        assert (await faas(api.settings.data.root, "logs", "--tail", wrong)).code == 2
    assert (await faas(api.settings.data.root, "logs", "-f", "--until", "1h")).code == 2


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], b"\\x1b[31mred\\x0dover\\u202e"),
        (["--json"], b"\\u001b[31mred\\rover\\u202e"),
        (["--raw"], b"\x1b[31mred\rover"),
    ],
)
async def test_what_a_function_prints_gives_a_terminal_no_orders(
    api: ControlApi, flags: list[str], found: bytes
) -> None:
    api.record(logs=line(1_000, "\x1b[31mred\rover\u202e"))
    command = [*FAAS, "logs", "hello", *flags]
    main_end, other_end = pty.openpty()
    process = await asyncio.create_subprocess_exec(*command, env=environment(api.settings.data.root), stdout=other_end)
    os.close(other_end)
    shown = await asyncio.to_thread(_all_of, main_end)
    assert await process.wait() == 0
    assert found in shown
    assert (b"\x1b" in shown) is ("--raw" in flags)
    piped = (await faas(api.settings.data.root, "logs", "hello")).out
    assert "\x1b[31mred\rover\u202e" in piped


def _all_of(terminal: int) -> bytes:
    """What is written to a terminal until its other end is closed, which is an error to who reads."""
    told = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 65_536):
            told += chunk
    os.close(terminal)
    return told


async def test_logs_can_be_followed_until_an_interrupt(api: ControlApi) -> None:
    process = await asyncio.create_subprocess_exec(
        *FAAS, "logs", "hello", "-f", "--json", env=environment(api.settings.data.root),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    for text in ("first", "second"):
        api.record(logs=line(1, text))
        assert json.loads(await process.stdout.readline())["text"] == text
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert json.loads(err)["error"]["code"] == "interrupted"


async def facts(api: ControlApi, **more: str) -> dict[str, dict[str, Any]]:
    ran = await faas(api.settings.data.root, "doctor", "--json", **more)
    found: dict[str, dict[str, Any]] = {fact["name"]: fact for fact in ran.json["facts"]}
    assert ran.json["ok"] == (ran.code == 0) == all(fact["state"] in ("ok", "warning") for fact in found.values())
    return found


async def a_node(api: ControlApi, memory_mb: int) -> None:
    versions = await catalog.Catalog.open(api.settings.redis.redis_url, api.settings.redis.redis_prefix)
    await versions.renew("n1", catalog.NodeState(catalog=1, host="h", pid=7, memory_mb=memory_mb), 60_000)
    await versions.close()


async def test_doctor_establishes_a_line_for_each_fact(api: ControlApi) -> None:
    await a_node(api, memory_mb=1_024)
    found = await facts(api)
    wanted = (
        "platform",
        "redis",
        "durability",
        "clock",
        "docker",
        "base image",
        "disk",
        "conservation",
        "nodes",
        "memory",
        "journals",
        "ledger",
    )
    assert set(wanted) <= set(found)
    assert {
        found[name]["state"] for name in ("platform", "redis", "durability", "docker", "conservation", "ledger")
    } == {"ok"}
    ran = await faas(api.settings.data.root, "doctor")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == len(found)
    assert {shown.split()[0] for shown in ran.out.splitlines()} <= {"ok", "warning"}


async def test_doctor_says_what_is_wrong_and_goes_on(api: ControlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    async with api.queue() as queue:
        await faas(api.settings.data.root, "invoke", "hello", "--async")
        await queue.link.call("HINCRBY", queue.keys.counts("hello@1"), "accepted", 1)
    found = await facts(api, FAAS_REDIS_URL="unix:///nowhere.sock")
    assert (found["docker"]["state"], found["conservation"]["state"], found["nodes"]["state"]) == (
        "warning", "failed", "failed",
    )  # fmt: skip
    assert found["conservation"]["text"] == "1 invocations are in no place or in two"


async def test_doctor_looks_itself_where_the_control_api_does_not_answer(api: ControlApi) -> None:
    published = platform_dir.published(api.settings.data.root)
    platform_dir.publish(api.settings.data.root, {**(published or {}), "api": "http://127.0.0.1:1"})
    found = await facts(api, DOCKER_HOST="unix:///nowhere.sock", FAAS_ENGINE="docker")
    assert (found["control api"]["state"], found["docker"]["state"]) == ("failed", "failed")
    assert {found[name]["state"] for name in ("platform", "redis", "conservation", "ledger")} == {"ok"}


async def test_doctor_waits_no_longer_than_some_seconds_for_a_control_api_that_hangs(api: ControlApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        published = platform_dir.published(api.settings.data.root) or {}
        hangs = {**published, "api": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        platform_dir.publish(api.settings.data.root, hangs)
        async with asyncio.timeout(30):
            found = await facts(api)
    assert (found["control api"]["state"], found["redis"]["state"]) == ("failed", "ok")


async def test_doctor_shows_what_the_control_api_tells(api: ControlApi) -> None:
    found = await facts(api)
    answer = await api.get("/api/v1/health", thorough="true")
    assert set(found) == {"platform"} | {fact["name"] for fact in answer["facts"]}


async def test_doctor_names_the_functions_that_no_node_has_the_memory_for(api: ControlApi) -> None:
    await a_node(api, memory_mb=100)
    found = (await facts(api))["memory"]
    assert found["state"] == "failed"
    assert found["text"] == "no node has more than 100 MB, so what is sent to these waits: hello (256 MB)"


async def test_doctor_works_where_nothing_runs(tmp_path: Path) -> None:
    ran = await faas(tmp_path / "none", "doctor", "--json")
    states = {fact["name"]: fact["state"] for fact in ran.json["facts"]}
    assert ran.code == 9
    assert (states["platform"], states["redis"], states["conservation"]) == ("failed", "failed", "unknown")
    assert ran.err == ""


async def test_schema_and_version_need_no_platform(tmp_path: Path) -> None:
    schema = (await faas(tmp_path, "schema")).json
    jsonschema.validators.validator_for(schema).check_schema(schema)
    assert "functions" in schema["properties"]
    version = await faas(tmp_path, "version")
    assert version.out.startswith("faas 0.1.0 (Python 3.")


async def test_a_shell_completes_the_names_of_functions(api: ControlApi) -> None:
    api.deploy("help-desk")
    for words in ("faas describe he", "faas invoke he", "faas rm he", "faas logs he"):
        ran = await faas(api.settings.data.root, _FAAS_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="2")
        assert sorted(ran.out.split()) == ["plain,hello", "plain,help-desk"]
        assert ran.err == ""


@pytest.mark.parametrize("command", ["ls", "records", "logs"])
async def test_a_reader_that_has_read_enough_is_no_error(api: ControlApi, command: str) -> None:
    api.record(function="f" * 60_000, logs=tuple(model.LogLine(1, "x" * 1_000) for _ in range(200)))
    for n in range(200):
        api.deploy(f"f{n}", model.FunctionConfig(runtime="python3", handler="h" * 500))
    command = "logs --tail all" if command == "logs" else command
    shell = f"{' '.join(FAAS)} {command} --json | head -c 10 >/dev/null; a=${{PIPESTATUS[0]}}; "
    shell += f"{' '.join(FAAS)} {command} | head -c 10 >/dev/null; echo $a ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", shell, env=environment(api.settings.data.root), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert await process.communicate() == (b"0 0\n", b"")


async def test_colours_are_for_terminals_that_want_them(api: ControlApi) -> None:
    async def shown(**more: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "script", "-qec", f"{' '.join(FAAS)} ls", "/dev/null",
            env=environment(api.settings.data.root, TERM="xterm-256color", **more), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        return out.decode()

    assert "\x1b[1m" in await shown()
    assert "\x1b[3" not in await shown(NO_COLOR="1")
    assert "\x1b[" not in (await ok(api, "ls", FORCE_COLOR="")).out
