"""`faas logs`: what a function printed, once or as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from faas.cli import client, names, options, output
from faas.core import errors

_PAGE = 1_000
_WAIT_MS = 20_000
_TRY_AGAIN_S = 1.0


@click.command()
@click.argument("name", required=False, shell_complete=names.functions)
@click.option("--follow", "-f", is_flag=True, help="Go on printing lines as they come, until Ctrl-C.")
@options.since_option
@click.option("--invocation", "invocation_id", metavar="ID", help="Only lines of this invocation.")
@click.option("--search", metavar="TEXT", help="Only lines that contain this text.")
@options.raw_option
@options.json_option
def logs_command(*, name: str | None, follow: bool, raw: bool, as_json: bool, **query: Any) -> None:
    """Print what the function NAME (or all) printed, oldest first.

    On a terminal, characters that it would obey (escapes, carriage returns, marks of direction) are written out.

    With --json the lines are one array; with --json and -f each line is one object on a line of its own.

    \b
    faas logs hello
    faas logs hello -f --since 10m
    faas logs --invocation 019a3f1c-7d2e-7c40-8a5b-3f0e9d1c2b4a --json
    """
    api = client.connect()
    if name is not None and query["invocation_id"] is None:
        _known(api, name)
    lines = _follow(api, {"function": name, **query}) if follow else _stored(api, {"function": name, **query})
    if as_json and not follow:
        output.emit(list(lines))
        return
    for line in lines:
        if as_json:
            output.line_of_json(msgspec.json.encode(line).decode())
        else:
            output.line(_text(line, named=name is None), raw=raw)


def _known(api: client.Client, name: str) -> None:
    """Raise `errors.NotFound` for a name that is no function and never printed anything: most likely a typo."""
    try:
        api.get(f"/api/v1/functions/{client.quote(name)}")
    except errors.NotFound:
        if not api.get("/api/v1/logs", function=name, limit=1)["lines"]:
            raise


def _stored(api: client.Client, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    after_id = None
    while True:
        page = api.get("/api/v1/logs", **query, after_id=after_id, limit=_PAGE)
        yield from page["lines"]
        if len(page["lines"]) < _PAGE:
            return
        after_id = page["next_id"]


def _follow(api: client.Client, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines as they come; a platform that is away for a while is waited for."""
    after_id = None
    is_away = False
    while True:
        try:
            page = api.get("/api/v1/logs", **query, after_id=after_id, limit=_PAGE, wait_ms=_WAIT_MS)
        except errors.Unavailable as error:
            if not is_away:
                output.say(f"faas: {error.message}; waiting for it")
            is_away = True
            time.sleep(_TRY_AGAIN_S)
            continue
        is_away = False
        yield from page["lines"]
        after_id = page["next_id"]


def _text(line: dict[str, Any], *, named: bool) -> str:
    who = f"{line['function']}@{line['revision']} " if named else ""
    return f"{output.moment(line['at_ms'])} {who}{line['invocation_id'][-12:]} {line['text']}"
