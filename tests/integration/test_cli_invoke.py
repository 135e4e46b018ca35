"""`faas invoke` as a person and as a script uses it, against a served control API and the real queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas.core import model
from faas.core import settings as settings_module
from tests.command import Ran, faas
from tests.served_api import ControlApi, serving

PROMISED = [
    "invocation_id", "status", "result", "error", "cold_start", "queue_ms", "init_ms", "duration_ms", "billed_ms",
    "memory_mb", "cost_pico", "cost_decimal", "currency", "result_is_base64", "cpu_us",
]  # fmt: skip


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings_module.changed(settings, max_event_bytes=10_000)) as served:
        served.deploy()
        yield served


async def called(
    api: ControlApi, *arguments: str, result: Any = None, stdin: bytes = b"", **changes: Any
) -> tuple[Ran, model.Invocation]:
    """Run ``faas invoke hello`` while a worker answers it."""
    working = asyncio.create_task(api.work("hello@1", result, **changes))
    ran = await faas(api.settings.data.root, "invoke", "hello", *arguments, stdin=stdin)
    return ran, await working


async def test_the_result_goes_to_stdout_and_the_talk_to_stderr(api: ControlApi) -> None:
    logs = (model.LogLine(1, "hello from inside"),)
    ran, call = await called(api, "--data", '{"name": "Ada"}', result={"said": "hü"}, logs=logs)
    assert (ran.code, ran.out) == (0, '{"said": "hü"}\n')
    said, report = ran.err.splitlines()
    assert said == "hello from inside"
    assert report.startswith(f"REPORT RequestId: {call.id}\tDuration: 0.90 ms\tBilled Duration: 1 ms")
    assert call.event == b'{"name": "Ada"}'


async def test_with_json_there_is_one_object_with_exactly_what_is_promised(api: ControlApi) -> None:
    figures = {"cold_start": model.ColdStart.FULL, "init_ms": 320, "cost_pico": 2_500_000, "cpu_us": 640}
    ran, call = await called(api, "--json", result=[1, None], **figures)
    assert list(ran.json) == PROMISED
    assert ran.json == {
        "invocation_id": call.id, "status": "ok", "result": [1, None], "error": None, "cold_start": True,
        "queue_ms": 1, "init_ms": 320, "duration_ms": 0.9, "billed_ms": 1, "memory_mb": 12,
        "cost_pico": 2_500_000, "cost_decimal": "0.0000025", "currency": "USD", "result_is_base64": False,
        "cpu_us": 640,
    }  # fmt: skip
    assert (ran.code, ran.err) == (0, "")


async def test_the_event_comes_from_an_argument_a_file_or_stdin_and_is_empty_without(
    api: ControlApi, tmp_path: Path
) -> None:
    file = tmp_path / "event.json"
    file.write_text('["file"]')
    for arguments, stdin, event in (
        ((), b"", b"{}"),
        (("[1]",), b"", b"[1]"),
        (("--data", f"@{file}"), b"", b'["file"]'),
        (("--data", "-"), b'"stdin"\n', b'"stdin"\n'),
        (("-",), b"2", b"2"),
        (("-",), b"\xef\xbb\xbf[3]", b"[3]"),
        (("-",), '["ü"]'.encode("utf-16"), '["ü"]'.encode()),
    ):
        ran, call = await called(api, *arguments, stdin=stdin)
        assert (ran.code, call.event) == (0, event)


async def test_a_client_context_reaches_the_handler(api: ControlApi) -> None:
    _, call = await called(api, "--client-context", '{"custom": 1}')
    assert call.client_context == '{"custom": 1}'


async def test_bytes_go_to_stdout_as_they_are(api: ControlApi) -> None:
    ran, _ = await called(api, result=b"\x00\xff\n")
    assert ran.out.encode(errors="surrogateescape") == b"\x00\xff\n"


async def test_numbers_come_out_as_the_handler_wrote_them(api: ControlApi) -> None:
    ran, _ = await called(api, "--json", result=[12345678901234567890123, 0.1])
    assert ran.json["result"] == [12345678901234567890123, 0.1]


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        ("error", 8, "function_failed"),
        ("oom", 8, "function_failed"),
        ("init_error", 8, "function_failed"),
        ("timeout", 10, "timed_out"),
        ("lost", 9, "unavailable"),
    ],
)
async def test_a_call_that_failed_has_its_exit_code_and_the_users_own_frames(
    api: ControlApi, status: str, code: int, name: str
) -> None:
    error = model.Failure("ValueError", "no such thing", ('  File "app.py", line 3, in handler',))
    ran, call = await called(api, status=model.Status(status), error=error)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.splitlines()[:2] == ['  File "app.py", line 3, in handler', "ValueError: no such thing"]
    assert "faas: " in ran.err.splitlines()[-1] or "hint" in ran.err.splitlines()[-1]
    ran, call = await called(api, "--json", status=model.Status(status), error=error)
    assert (ran.code, ran.json["status"], ran.json["error"]["type"]) == (code, status, "ValueError")
    assert (ran.error["code"], ran.error["invocation_id"]) == (name, call.id)


async def test_an_async_call_prints_its_id_and_waits(api: ControlApi) -> None:
    root = api.settings.data.root
    ran = await faas(root, "invoke", "hello", "--async")
    as_json = await faas(root, "invoke", "hello", "--async", "--json")
    async with api.queue() as queue:
        claims = await queue.claim("n1", "hello@1", 5)
    assert [claim.invocation.id for claim in claims] == [ran.out.strip(), as_json.json["invocation_id"]]
    assert (ran.code, ran.err, as_json.json["status"]) == (0, "", "accepted")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("nobody",), 4, "no function is called nobody"),
        (("hello", "{'a': 1}"), 2, "the payload is not JSON"),
        (("hello", "[NaN]"), 2, "it holds NaN, Infinity or half a character"),
        (("hello", r'["\ud800"]'), 2, "it holds NaN, Infinity or half a character"),
        (("01a228a7-8b88-708c",), 4, "no function is called 01a228a7-8b88-708c"),
        (("hello", "--data", "@/nowhere/event.json"), 2, "/nowhere/event.json: No such file or directory"),
        (("hello", "--data", "@/"), 2, "/: Is a directory"),
        (("hello", "1", "--data", "2"), 2, "given twice"),
        (("hello", "--client-context", "{"), 2, "the payload is not JSON"),
        (("hello", "1" * 10_001), 2, "over 10000 bytes"),
    ],
)
async def test_what_cannot_be_called_is_one_clear_line(
    api: ControlApi, arguments: tuple[str, ...], code: int, text: str
) -> None:
    ran = await faas(api.settings.data.root, "invoke", *arguments)
    assert (ran.code, ran.out) == (code, "")
    line, *hints = ran.err.splitlines()
    assert line.startswith("faas: ")
    assert text in line
    assert all(hint.startswith("  hint: ") for hint in hints)
    assert text in (await faas(api.settings.data.root, "invoke", "--json", *arguments)).error["message"]


async def test_a_wrong_token_is_exit_code_3_and_an_api_that_has_gone_is_9(api: ControlApi) -> None:
    token = api.settings.data.root / "token"
    kept = token.read_text()
    token.write_text("wrong")
    assert (await faas(api.settings.data.root, "invoke", "hello")).code == 3
    token.write_text(kept)
    platform = api.settings.data.root / "platform.json"
    facts = msgspec.json.decode(platform.read_bytes())
    platform.write_bytes(msgspec.json.encode(facts | {"api": "http://127.0.0.1:9"}))
    ran = await faas(api.settings.data.root, "invoke", "hello")
    assert (ran.code, len(ran.err.splitlines())) == (9, 2)
    assert "does not answer" in ran.err
    platform.write_text("{")
    assert "is broken" in (await faas(api.settings.data.root, "invoke", "hello")).err
