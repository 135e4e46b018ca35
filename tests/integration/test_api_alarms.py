"""Alarms over the control API and the command line: how they stand, silence, tests, what a deploy and `status` say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from faas.core import clock, model
from faas.core import settings as settings_module
from faas.queue import outbox
from faas.store import alarm_changes, alarms
from tests.command import faas
from tests.eventually import eventually
from tests.served_api import ControlApi, serving
from tests.terminals import shown

NOW_MS = clock.now_ms()
ERRORS = model.Alarm(
    name="hello.errors", rule="error_rate > 5% for 5m", function="hello",
    notify=(model.ToUrl(url="http://127.0.0.1:9/hook"), model.ToLog()), remind_ms=3_600_000,
)  # fmt: skip
EACH = model.Alarm(name="slow", rule="p99 > 1s", each=True)


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        served.deploy()
        declare(served, alarms.AlarmKind.FUNCTION, ERRORS)
        declare(served, alarms.AlarmKind.PLATFORM, EACH)
        yield served


def store(api: ControlApi) -> alarms.Alarms:
    return alarms.Alarms(api.functions._engine)


def declare(api: ControlApi, kind: alarms.AlarmKind, alarm: model.Alarm) -> None:
    declared = alarms.Declared(alarm=alarm, kind=kind, declared_at_ms=NOW_MS, revision=1)
    api.functions.activate([], [], alarm_changes.AlarmChanges(declared=(declared,)))


def stands(api: ControlApi, *found: alarms.Standing) -> None:
    """Let a look have found this."""
    events = [
        alarms.AlarmEvent(
            alarm=each.alarm, function=each.function, at_ms=NOW_MS, was=model.AlarmState.OK, became=each.state,
            value=each.value, text=each.text,
        )
        for each in found
    ]  # fmt: skip
    begun = store(api).begin()
    outcome = alarms.LookOutcome(standings=found, events=tuple(events))
    assert store(api).commit(begun, 1, clock.now_ms(), outcome)


def standing(alarm: str, state: model.AlarmState, function: str = "hello", **given: Any) -> alarms.Standing:
    given = {"since_ms": NOW_MS, "at_ms": NOW_MS, "value": 80_000.0, "text": f"{alarm} is so", **given}
    return alarms.Standing(alarm=alarm, function=function, state=state, **given)


async def test_alarms_are_listed_with_what_fires_first(api: ControlApi) -> None:
    found = await api.get("/api/v1/alarms")
    assert [(each["name"], each["function"], each["state"]) for each in found["alarms"]] == [
        ("hello.errors", "hello", "ok"), ("slow", None, "ok")
    ]  # fmt: skip
    stands(
        api, standing("slow", model.AlarmState.FIRING), standing("slow", model.AlarmState.RESOLVED, "other"),
        standing("hello.errors", model.AlarmState.PENDING),
    )  # fmt: skip
    found = await api.get("/api/v1/alarms")
    assert [(each["name"], each["function"], each["state"]) for each in found["alarms"]] == [
        ("slow", "hello", "firing"), ("hello.errors", "hello", "pending"), ("slow", "other", "resolved")
    ]  # fmt: skip
    assert found["alarms"][0] == {
        "name": "slow", "function": "hello", "rule": "p99 > 1s", "state": "firing", "since_ms": NOW_MS,
        "value": 80_000.0, "text": "slow is so", "silenced_until_ms": None, "notify": [{"kind": "log"}],
    }  # fmt: skip
    assert found["fault"] is None
    some = await api.get("/api/v1/alarms?state=firing&state=pending", limit=1, function="hello")
    assert ([each["name"] for each in some["alarms"]], some["total"]) == (["slow"], 2)


async def test_one_alarm_is_described_as_it_was_declared(api: ControlApi) -> None:
    found = await api.get("/api/v1/alarms/hello.errors")
    assert (found["kind"], found["revision"], found["remind_ms"]) == ("function", 1, 3_600_000)
    assert found["notify"] == [{"kind": "url", "url": "http://127.0.0.1:9/hook", "secret": None}, {"kind": "log"}]
    assert [each["text"] for each in found["standings"]] == ["nobody has looked yet"]


async def test_history_is_paged_and_outlives_its_alarm(api: ControlApi) -> None:
    for state in (model.AlarmState.PENDING, model.AlarmState.FIRING, model.AlarmState.RESOLVED):
        stands(api, standing("hello.errors", state))
    first = await api.get("/api/v1/alarms/hello.errors/history", limit=2)
    assert [each["became"] for each in first["events"]] == ["resolved", "firing"]
    rest = await api.get("/api/v1/alarms/hello.errors/history", limit=2, before=first["next"])
    assert ([each["became"] for each in rest["events"]], rest["next"]) == (["pending"], None)
    api.functions.activate([], [], alarm_changes.AlarmChanges(removed=("hello.errors",)))
    assert len((await api.get("/api/v1/alarms/hello.errors/history"))["events"]) == 3
    assert (await api.call("GET", "/api/v1/alarms/hello.errors"))[0] == 404


async def test_an_alarm_is_silenced_for_a_while_and_tells_again(api: ControlApi) -> None:
    path = "/api/v1/alarms/hello.errors/silence"
    status, found = await api.call("POST", path, json={"for_ms": 60_000})
    assert status == 200
    assert clock.now_ms() < found["until_ms"] <= clock.now_ms() + 60_000
    listed = {each["name"]: each["silenced_until_ms"] for each in (await api.get("/api/v1/alarms"))["alarms"]}
    assert listed == {"hello.errors": found["until_ms"], "slow": None}
    assert (await api.call("DELETE", path))[1]["until_ms"] is None
    assert store(api).silences() == {}
    await api.call("POST", "/api/v1/alarms/slow/silence", json={"for_ms": 60_000, "function": "hello"})
    await api.call("POST", "/api/v1/alarms/slow/silence", json={"for_ms": 60_000})
    assert set(store(api).silences()) == {("slow", "hello"), ("slow", "")}
    await api.call("DELETE", "/api/v1/alarms/slow/silence?function=hello")
    assert set(store(api).silences()) == {("slow", "")}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"for_ms": 0}', b'{"for_ms": "1h"}', b'{"for": 1}', b"\xff"])
async def test_a_silence_that_means_nothing_is_refused(api: ControlApi, body: bytes) -> None:
    status, found = await api.call("POST", "/api/v1/alarms/slow/silence", data=body)
    assert (status, found["error"]["message"].partition(":")[0]) == (400, "the body")


async def test_a_test_goes_to_every_place_and_changes_nothing(api: ControlApi) -> None:
    status, found = await api.call("POST", "/api/v1/alarms/hello.errors/test")
    assert (status, [each["kind"] for each in found["sent"]]) == (200, ["url", "log"])
    async with api.queue() as queue:
        assert list((await outbox.lengths(queue)).values()) == [1]
    assert store(api).standings() == []


async def test_what_comes_to_pass_is_an_event_of_the_page(api: ControlApi) -> None:
    stands(api, standing("hello.errors", model.AlarmState.PENDING))
    async with api.session.get(f"{api.url}/api/v1/events", params={"types": "alarm"}) as answer:

        async def told() -> bytes:
            # Until the source has begun what comes to pass is not told.
            stands(api, standing("hello.errors", model.AlarmState.FIRING))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    while not (line := await answer.content.readline()).startswith(b'data: {"alarm"'):
                        pass
                    return line
            return b""

        event = json.loads((await eventually(told, within=20)).removeprefix(b"data: "))
    assert (event["alarm"], event["function"], event["became"]) == ("hello.errors", "hello", "firing")


async def test_metrics_count_alarms_by_state(api: ControlApi) -> None:
    stands(api, standing("slow", model.AlarmState.FIRING), standing("slow", model.AlarmState.FIRING, "other"))
    async with api.session.get(f"{api.url}/metrics") as answer:
        text = await answer.text()
    lines = {line for line in text.splitlines() if line.startswith("faas_alarms")}
    assert lines == {
        'faas_alarms{state="firing"} 2.0', 'faas_alarms{state="ok"} 1.0', 'faas_alarms{state="pending"} 0.0',
        'faas_alarms{state="resolved"} 0.0', 'faas_alarms{state="no_data"} 0.0',
    }  # fmt: skip


async def test_the_command_line_shows_and_silences_alarms(api: ControlApi) -> None:
    root = api.settings.data.root
    stands(api, standing("hello.errors", model.AlarmState.FIRING))
    assert [each["name"] for each in (await faas(root, "alarms", "ls", "--json")).json] == ["hello.errors", "slow"]
    ran = await faas(root, "alarms", "ls", "--state", "firing")
    assert "hello.errors is so" in ran.out
    ran = await faas(root, "alarms", "show", "hello.errors")
    assert "error_rate > 5% for 5m" in ran.out
    assert "reminds     every 1h" in ran.out
    assert "tells       http://127.0.0.1:9/hook" in ran.out
    ran = await faas(root, "alarms", "silence", "hello.errors", "--for", "2h")
    assert (ran.code, "hello.errors is silent until" in ran.err) == (0, True)
    assert "firing, silent" in (await faas(root, "alarms", "ls")).out
    assert (await faas(root, "alarms", "unsilence", "hello.errors")).code == 0
    assert store(api).silences() == {}
    became = [each["became"] for each in (await faas(root, "alarms", "history", "hello.errors", "--json")).json]
    assert became == ["firing", "firing", "firing"]
    assert "sent a test to http://127.0.0.1:9/hook" in (await faas(root, "alarms", "test", "hello.errors")).err


async def test_a_mistake_at_the_command_line_is_told(api: ControlApi) -> None:
    root = api.settings.data.root
    ran = await faas(root, "alarms", "silence", "hello.errors", "--for", "soon")
    assert (ran.code, "--for: found 'soon', expected a span" in ran.err) == (2, True)
    ran = await faas(root, "alarms", "show", "nothing")
    assert (ran.code, "`faas alarms ls` lists them" in ran.err) == (4, True)


async def test_a_fault_of_the_platforms_own_file_is_told_where_alarms_are_listed(api: ControlApi) -> None:
    file = alarms.PlatformFile(fault="alarms.yaml:1:1: alarms.a.rule: found x")
    alarm_changes.refuse_file(api.functions._engine, file)
    ran = await faas(api.settings.data.root, "alarms", "ls")
    assert "alarms.yaml is not in force" in ran.err
    assert file.fault in ran.err


async def test_a_list_that_is_old_says_so(api: ControlApi) -> None:
    begun = store(api).begin()
    assert store(api).commit(begun, 1, clock.now_ms() - 600_000, alarms.LookOutcome())
    assert "nobody has looked since" in (await faas(api.settings.data.root, "alarms", "ls")).err
    stands(api)
    assert (await faas(api.settings.data.root, "alarms", "ls")).err == ""


async def test_status_says_what_fires(api: ControlApi) -> None:
    root = api.settings.data.root
    assert "FIRING" not in (await faas(root, "status")).out
    stands(api, *(standing("slow", model.AlarmState.FIRING, f"f{n}") for n in range(12)))
    out = (await faas(root, "status")).out
    assert out.count("FIRING") == 10
    assert "and 2 more: faas alarms ls --state firing" in out
    assert len((await faas(root, "status", "--json")).json["firing"]) == 10


@pytest.mark.parametrize("command", [("alarms", "ls"), ("alarms", "history", "hello.errors"), ("status",)])
async def test_no_line_is_wider_than_its_terminal(api: ControlApi, command: tuple[str, ...]) -> None:
    stands(api, standing("hello.errors", model.AlarmState.FIRING, text="long " * 60))
    for columns in (80, 60):
        code, lines = await shown(api.settings.data.root, *command, columns=columns)
        assert code == 0
        assert max(map(len, lines)) <= columns, "\n".join(lines)


def test_json_of_a_manifest_with_alarms_goes_through_the_api(tmp_path: Path) -> None:
    """What the command line sends of a project is what the API reads."""
    import msgspec

    sent = model.Project(functions=(), alarms=(ERRORS, EACH))
    assert msgspec.json.decode(msgspec.json.encode(sent), type=model.Project) == sent
    assert json.loads(msgspec.json.encode(sent))["alarms"][0]["notify"][1] == {"kind": "log"}


async def test_rm_names_the_alarms_that_go_with_a_function(api: ControlApi) -> None:
    api.deploy("other")
    together = model.Alarm(name="both", rule="errors > 5", functions=("hello", "other"))
    declare(api, alarms.AlarmKind.PROJECT, together)
    ran = await faas(api.settings.data.root, "rm", "hello", "--yes")
    assert ran.err.splitlines() == ["removed hello", "removed the alarm hello.errors with it"]
    ran = await faas(api.settings.data.root, "rm", "other", "--yes", "--json")
    assert ran.json == {"removed": ["other"], "alarms_removed": ["both"]}
    assert [each["name"] for each in (await api.get("/api/v1/alarms"))["alarms"]] == ["slow"]
