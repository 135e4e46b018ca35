"""Lists, ids and objects at the command line: what fits a terminal, what names a thing, and what asks first."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from faas.core import ids, model
from faas.core import settings as settings_module
from faas.store import database, dead_letters
from tests import samples
from tests.command import faas
from tests.served_api import CONFIG, ControlApi, serving
from tests.terminals import shown

NOW_MS = time.time_ns() // 10**6
LONG = "a-function-whose-name-is-as-long-as-names-may-be-for-63-letters"


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        served.deploy()
        served.functions.activate([], [model.Bucket(name="photos"), model.Bucket(name="out")])
        yield served


def dead(api: ControlApi, function: str = "hello", **changes: object) -> str:
    """Put a dead letter into the ledger; its id."""
    name = ids.new_id()
    failure = model.Failure("ValueError", "no such order\nat all", ("  in handler\n",))
    invocation = model.Invocation(
        id=name, function=function, revision=1, trigger="upload", mode=model.Mode.ASYNC, event=b'{"n": [1, 2]}',
        accepted_at_ms=NOW_MS, object="photos/in/a.jpg",
    )  # fmt: skip
    record = msgspec.structs.replace(
        samples.record(invocation, model.Status.ERROR, dead=True), error=failure, ended_at_ms=NOW_MS,
        object=invocation.object, **changes,
    )  # fmt: skip
    api.ledger.commit([record], letters={(name, 1): msgspec.msgpack.encode(invocation)})
    return name


def letters(api: ControlApi) -> dead_letters.DeadLetters:
    return dead_letters.DeadLetters(database.open_database(api.settings.data))


@pytest.mark.parametrize(
    "command",
    [
        ("ls",), ("describe", "hello"), ("records",), ("stats",), ("bill",), ("invocations", "ls"), ("dlq", "ls"),
        ("undelivered", "ls"), ("status",), ("doctor",), ("buckets",), ("ls", "photos"), ("records", "--slowest"),
        ("bill", "--as", "aws-lambda"), ("bill", "--by", "root"), ("budget", "ls"),
        ("kept", "ls"), ("kept", "ls", "hello"),
    ],
)  # fmt: skip
async def test_no_line_of_a_list_is_wider_than_its_terminal(api: ControlApi, command: tuple[str, ...]) -> None:
    api.deploy(LONG, msgspec.structs.replace(CONFIG, memory_mb=10_240, timeout_ms=900_000))
    for name in ("hello", LONG):
        api.record(function=name, duration_us=899_999_999, ended_at_ms=NOW_MS, queue_ms=99_999, billed_ms=900_000)
        dead(api, name)
    api.undelivered.keep(samples.undelivered(LONG))
    folder = api.settings.data.root / "buckets" / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ("long" * 50)).write_text("x")
    for columns in (80, 60):
        code, lines = await shown(api.settings.data.root, *command, columns=columns)
        assert code == (9 if command == ("doctor",) else 0)  # no node runs here
        assert max(map(len, lines)) <= columns, "\n".join(lines)


async def test_any_beginning_of_an_id_as_it_is_printed_names_the_thing(api: ControlApi) -> None:
    name = dead(api)
    dead(api)
    api.undelivered.keep(samples.undelivered())
    (undelivered,) = (await faas(api.settings.data.root, "undelivered", "ls", "--json")).json
    _, lines = await shown(api.settings.data.root, "dlq", "ls")
    (short,) = (word for word in " ".join(lines).split() if name.startswith(word) and len(word) > 8)
    assert len(short) < len(name)
    for command in (
        ("invocations", "show", short, "--json"), ("dlq", "show", short, "--json"),
        ("records", "--root", short, "--json"), ("undelivered", "show", undelivered["invocation_id"][:20], "--json"),
    ):  # fmt: skip
        ran = await faas(api.settings.data.root, *command)
        assert ran.code == 0, ran
        found = ran.json[0] if isinstance(ran.json, list) else ran.json
        assert found["invocation_id"] in (name, undelivered["invocation_id"])
    assert (await faas(api.settings.data.root, "dlq", "drop", short.upper(), "--yes")).code == 0
    assert letters(api).get(name) is None


async def test_a_beginning_of_several_ids_is_refused_and_they_are_named(api: ControlApi) -> None:
    one, other = sorted(
        api.record(invocation_id=f"019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d1{n}").invocation_id for n in (1, 2)
    )
    ran = await faas(api.settings.data.root, "invocations", "show", "019a2f6c", "--json")
    assert (ran.code, ran.error["ids"]) == (2, [one, other])
    assert (await faas(api.settings.data.root, "invocations", "show", one[:36])).code == 0
    for unknown in ("019a2f6d", "01", "no-id", "%", "019a2f6c%"):
        assert (await faas(api.settings.data.root, "invocations", "show", unknown)).code == 4
        assert (await faas(api.settings.data.root, "logs", "--invocation", unknown)).code == 4
        assert (await faas(api.settings.data.root, "records", "--root", unknown)).code == 4


async def test_a_waiting_invocation_is_found_by_its_beginning_too(api: ControlApi) -> None:
    name = (await faas(api.settings.data.root, "invoke", "hello", "--delay", "10m")).out.strip()
    shown_ = (await faas(api.settings.data.root, "invocations", "show", name[:18], "--json")).json
    assert (shown_["invocation_id"], shown_["status"], shown_["function"]) == (name, "scheduled", "hello")
    plain = (await faas(api.settings.data.root, "invocations", "show", name[:18])).out
    assert re.search(r"^status +scheduled$", plain, re.MULTILINE)
    assert (await faas(api.settings.data.root, "invocations", "cancel", name[:18])).code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("describe",), ("logs",), ("logs", "-f"), ("records",), ("stats",), ("invoke",), ("sbom",), ("rm", "--yes"),
        ("invocations", "ls", "--function"), ("dlq", "ls", "--function"), ("dlq", "retry", "--function"),
        ("dlq", "drop", "--yes", "--function"), ("undelivered", "ls", "--function"),
        ("undelivered", "drop", "--function"), ("ls",),
    ],
)  # fmt: skip
async def test_an_unknown_function_or_bucket_is_exit_code_4_everywhere(
    api: ControlApi, command: tuple[str, ...]
) -> None:
    assert (await faas(api.settings.data.root, *command, "nosuch")).code == 4


async def test_a_function_that_is_gone_and_left_records_is_known(api: ControlApi) -> None:
    api.record(function="gone", ended_at_ms=NOW_MS)
    for command in (("records", "gone"), ("stats", "gone"), ("logs", "gone"), ("dlq", "ls", "--function", "gone")):
        assert (await faas(api.settings.data.root, *command)).code == 0


async def test_a_name_that_is_nearly_one_is_suggested(api: ControlApi) -> None:
    for command in (("describe", "helo"), ("invoke", "hallo"), ("stats", "helloo"), ("rm", "hell")):
        assert "did you mean hello?" in (await faas(api.settings.data.root, *command)).err
    assert "did you mean photos?" in (await faas(api.settings.data.root, "ls", "fotos")).err
    assert "faas rm photos/KEY" in (await faas(api.settings.data.root, "rm", "photos")).err
    assert "faas describe hello" in (await faas(api.settings.data.root, "ls", "hello")).err


async def test_statuses_add_up_and_what_took_longest_may_come_first(api: ControlApi) -> None:
    for at, status in enumerate(model.Status):
        api.record(status=status, ended_at_ms=NOW_MS + at, duration_us=1_000 * (10 - at), queue_ms=at)

    async def found(*flags: str) -> list[str]:
        ran = await faas(api.settings.data.root, "records", "--json", *flags)
        assert ran.code == 0, ran
        return [each["status"] for each in ran.json]

    assert sorted(await found("--status", "error", "--status", "timeout")) == ["error", "timeout"]
    assert set(await found("--status", "failed")) == set(model.Status) - {"ok"}
    assert set(await found("--status", "failed", "--status", "ok")) == set(model.Status)
    assert await found("--slowest") == list(model.Status)
    assert await found("--sort", "queue") == list(model.Status)[::-1]
    assert await found("--slowest", "-n", "1") == ["ok"]


async def test_of_several_functions_the_lists_add_up(api: ControlApi) -> None:
    for name in ("a", "b", "c"):
        dead(api, name)
    listed = (await faas(api.settings.data.root, "dlq", "ls", "--function", "a", "--function", "b", "--json")).json
    assert sorted(each["function"] for each in listed) == ["a", "b"]


async def test_an_invocation_shows_what_ran_what_for_and_its_error(api: ControlApi) -> None:
    name = dead(api, parent_id="p", root_id="r", depth=1)
    for command in (("invocations", "show", name), ("dlq", "show", name)):
        out = (await faas(api.settings.data.root, *command)).out
        facts = {line[:12].strip(): line[12:] for line in out.splitlines()}
        assert (facts["function"], facts["trigger"], facts["object"]) == ("hello@1", "upload, async", "photos/in/a.jpg")
        assert (facts["parent"], facts["root"]) == ("p", "r, 1 links before")
        assert "ValueError: no such order" in out
    assert '"n": [\n    1,\n    2\n  ]' in out
    assert (await faas(api.settings.data.root, "dlq", "show", name, "--json")).json["event"] == {"n": [1, 2]}


async def test_a_result_is_printed_as_json_and_bytes_are_said_to_be_base64(api: ControlApi) -> None:
    for result, printed in (
        ({"a": [True, None]}, 'result:\n{\n  "a": [\n    true,\n    null\n  ]\n}'),
        (b"\xff", '"/w=="'),
    ):
        name = (await faas(api.settings.data.root, "invoke", "hello", "--async")).out.strip()
        await api.work("hello@1", result)
        out = (await faas(api.settings.data.root, "invocations", "show", name)).out
        assert printed in out
        assert ("(1 bytes, in base64)" in out) is isinstance(result, bytes)


async def test_describe_tells_retries_destinations_concurrency_and_the_next_due_time(api: ControlApi) -> None:
    config = msgspec.structs.replace(
        CONFIG, on_failure=model.ToBucket(bucket="out", prefix="failed/"), max_concurrency=7,
        retries=model.Retries(maximum_retry_attempts=4),
    )  # fmt: skip
    api.deploy("told", config)
    lines = (await faas(api.settings.data.root, "describe", "told")).out.splitlines()
    facts = {line[:12].strip(): line[12:] for line in lines}
    assert facts["concurrency"].startswith("7 at once")
    assert facts["retries"].startswith("4 of async calls after error, timeout, oom, init_error")
    assert facts["on failure"] == "the bucket out/failed/"
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d0$", facts["next due"])
    found = (await faas(api.settings.data.root, "describe", "told", "--json")).json
    assert 0 < found["next_due_at_ms"] - NOW_MS < 600_000


def objects(api: ControlApi, *keys: str) -> Path:
    folder = api.settings.data.root / "buckets" / "photos"
    for key in keys:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_text(key)
    return folder


async def test_buckets_and_their_objects_are_listed_and_objects_removed(api: ControlApi) -> None:
    listed = (await faas(api.settings.data.root, "buckets", "--json")).json
    assert [(each["name"], each["functions"], each["triggers"]) for each in listed] == [
        ("out", {}, []), ("photos", {"hello": "read"}, ["hello"]),
    ]  # fmt: skip
    folder = objects(api, "in/a b.jpg", "in/b.jpg", "other/c")
    for where in ("photos/in/", "photos:in/", "photos/in"):
        found = (await faas(api.settings.data.root, "ls", where, "--json")).json
        assert [(each["key"], each["size_bytes"]) for each in found] == [("in/a b.jpg", 10), ("in/b.jpg", 8)]
    assert len((await faas(api.settings.data.root, "ls", "photos", "-n", "1", "--json")).json) == 1
    assert (await faas(api.settings.data.root, "rm", "photos/in/b.jpg")).code == 5, "nobody was asked"
    assert (folder / "in/b.jpg").exists()
    assert (await faas(api.settings.data.root, "rm", "photos/in/a b.jpg", "--yes", "--json")).json == {
        "removed": ["photos/in/a b.jpg"], "alarms_removed": [],
    }  # fmt: skip
    assert (await faas(api.settings.data.root, "rm", "photos/in/", "--yes")).code == 2
    assert (await faas(api.settings.data.root, "rm", "photos/nothing", "--yes")).code == 4
    assert (await faas(api.settings.data.root, "rm", "-r", "photos/nothing", "--yes")).code == 4
    assert (await faas(api.settings.data.root, "rm", "-r", "photos/in/", "--yes")).code == 0
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["c"]


@pytest.mark.parametrize(("typed", "code", "left"), [(b"y\n", 0, 0), (b"n\n", 5, 3), (b"\n", 5, 3)])
async def test_who_is_at_a_terminal_is_asked_and_told_what_would_go(
    api: ControlApi, typed: bytes, code: int, left: int
) -> None:
    for name in ("a", "a", "b"):
        dead(api, name)
    ended, lines = await shown(api.settings.data.root, "dlq", "drop", "--all", stdin=typed)
    assert ended == code
    assert "This will forget 3 dead letters of 2 functions (a: 2, b: 1)." in lines
    assert len(letters(api).find(None, 10)) == left


async def test_every_amount_of_money_is_exact_and_every_figure_says_its_unit(api: ControlApi) -> None:
    api.record(ended_at_ms=NOW_MS, cost_pico=8_360_001)
    bill = (await faas(api.settings.data.root, "bill", "--json")).json
    assert bill["total"] == {
        "count": 1, "billed_count": 1, "billed_ms": 8, "mb_ms": 1_024, "cpu_us": 0, "cost_pico": 8_360_001,
        "cost_decimal": "0.000008360001", "there_pico": None, "there_decimal": None,
    }  # fmt: skip
    (record,) = (await faas(api.settings.data.root, "records", "--json")).json
    assert (record["cost_pico"], record["cost_decimal"], record["currency"]) == (8_360_001, "0.000008360001", "USD")
    units = ("_ms", "_us", "_mb", "_bytes", "_pico", "revision", "attempt", "depth", "count")
    for found in (bill["total"], record):
        assert all(name.endswith(units) for name, value in found.items() if type(value) in (int, float)), found
    assert json.dumps(bill).count('cost"') == 0
