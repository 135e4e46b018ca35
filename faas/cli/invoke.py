"""`faas invoke`: call a function from the command line."""

from __future__ import annotations

import base64
import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from faas.cli import client, names, options, output, showing
from faas.core import errors, model
from faas.core.calls import calling, faults
from faas.core.http import headers
from faas.core.values import texts

_KEYS = (
    "invocation_id", "status", "result", "error", "cold_start", "queue_ms", "init_ms", "duration_ms", "billed_ms",
    "memory_mb", "cost_pico", "cost_decimal", "currency", "result_is_base64", "cpu_us",
)  # fmt: skip


@click.command()
@click.argument("name", shell_complete=names.functions)
@click.argument("payload", required=False)
@click.option("--data", "-d", metavar="JSON|@FILE|-", help="The event: JSON, a file of it, or - for stdin.")
@click.option("--async", "is_async", is_flag=True, help="Return when the call is accepted, and print its id.")
@click.option("--delay", metavar="TIME", help="Run it so much later (90s, 10m); implies --async.")
@click.option("--client-context", metavar="JSON", help="What the handler sees as context.client_context.")
@options.raw_option
@options.json_option
def invoke_command(
    *,
    name: str,
    payload: str | None,
    data: str | None,
    is_async: bool,
    delay: str | None,
    client_context: str | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Call the function NAME and print its result.

    The event is {} when none is given. What the function printed and the report line go to stderr. The exit code is 8
    when the function failed and 10 when it ran into its timeout. With --json one object is printed: cost_pico is exact,
    in 10^-12 of the currency, and cost_decimal the same in the currency; memory_mb is the peak; a result of bytes is
    text in base64, and result_is_base64 says so. On a terminal, characters that it would obey (escapes, carriage
    returns, marks of direction) are written out.

    \b
    faas invoke hello --data '{"name": "Ada"}'
    faas invoke hello --data @event.json --json
    faas invoke hello --delay 10m
    echo '[1, 2]' | faas invoke sum --data -
    """
    if payload is not None and data is not None:
        raise errors.BadRequest("the event is given twice: as an argument and as --data")
    event = _checked(_event(data if payload is None else payload))
    mode = model.Mode.SYNC if not is_async and delay is None else model.Mode.ASYNC
    fields = {"Content-Type": "application/json", headers.INVOCATION_TYPE: mode.value}
    if delay is not None:
        fields[headers.DELAY] = delay
    if client_context is not None:
        fields[headers.CLIENT_CONTEXT] = base64.b64encode(_checked(client_context.encode())).decode()
    path = f"/api/v1/functions/{client.quote(name)}/invocations"
    answer = client.connect().send("POST", path, body=event, headers=fields).value
    if mode is model.Mode.ASYNC:
        _accepted(answer, as_json)
    else:
        _ended(answer, as_json, raw)


def _event(given: str | None) -> bytes:
    if given is None:
        return b"{}"
    if given == "-":
        return sys.stdin.buffer.read()
    if not given.startswith("@"):
        return given.encode(errors="surrogateescape")
    try:
        return Path(given[1:]).read_bytes()
    except OSError as error:
        raise errors.BadRequest(f"{given[1:]}: {error.strerror}") from error


def _checked(event: bytes) -> bytes:
    # Files and pipes of Windows begin with a mark, and may be UTF-16.
    with contextlib.suppress(UnicodeDecodeError):
        event = texts.decoded(event).encode()
    return calling.json_event(event, "text needs quotes: --data '\"hello\"'")


def _accepted(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.emit(answer)
    else:
        output.line(answer["invocation_id"])


def _ended(answer: dict[str, Any], as_json: bool, raw: bool) -> None:
    if as_json:
        output.emit({key: answer.get(key) for key in _KEYS})
    else:
        _print(answer, raw)
    if answer["status"] != "ok":
        raise _failure(answer)


def _print(answer: dict[str, Any], raw: bool) -> None:
    told = _said(answer["error"]) if answer["error"] and answer["status"] != model.Status.TIMEOUT else ""
    for text in showing.without_repeats([line["text"] for line in answer["logs"]], told):
        output.say(text, raw=raw)
    if answer["error"] and not _is_logged(answer):
        frames = [frame.rstrip("\n") for frame in answer["error"]["stack"]]
        output.say("\n".join([*frames, _said(answer["error"])]), raw=raw)
    output.say(answer["report"])
    if answer["status"] != "ok":
        return
    if answer["result_is_base64"]:
        _print_bytes(base64.b64decode(answer["result"]), raw)
    else:
        output.emit(answer["result"])


def _print_bytes(result: bytes, raw: bool) -> None:
    if raw or not sys.stdout.isatty():
        sys.stdout.buffer.write(result)
    else:
        output.line(result.decode(errors="surrogateescape"))


def _is_logged(answer: dict[str, Any]) -> bool:
    """Whether what the function printed ends with its error, as the agent writes it; what died could not say why."""
    return any(answer["error"]["type"] in line["text"] for line in answer["logs"])


def _said(error: dict[str, Any]) -> str:
    return f"{error['type']}: {error['message']}" if error["message"] else str(error["type"])


def _failure(answer: dict[str, Any]) -> errors.FaasError:
    status = model.Status(answer["status"])
    why = _said(answer["error"]) if answer["error"] and status is not model.Status.TIMEOUT else ""
    about = {"invocation_id": answer["invocation_id"], "status": answer["status"]}
    return faults.error(status, answer["function"], why, **about)
