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
_TAIL = 100
_MOST_TAIL = 9_999


class _Tail(click.ParamType[int]):
    """A number of lines, or ``all``."""

    name = "number|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """-1 for ``all``."""
        if value in ("all", -1):
            return -1
        try:
            return int(click.IntRange(0, _MOST_TAIL).convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is neither `all` nor a number from 0 to {_MOST_TAIL}", param, ctx)


@click.command()
@click.argument("name", required=False, shell_complete=names.functions)
@click.option("--follow", "-f", is_flag=True, help="Go on printing lines as they come, until Ctrl-C.")
@click.option(
    "--tail", "-n", type=_Tail(), default=_TAIL, show_default=True, help="The last so many lines that fit, or all."
)
@options.since_option
@options.until_option
@click.option("--invocation", "invocation_id", metavar="ID", help="Only lines of this invocation.")
@click.option("--search", metavar="TEXT", help="Only lines that contain this text.")
@options.raw_option
@options.json_option
def logs_command(*, name: str | None, follow: bool, tail: int, raw: bool, as_json: bool, **query: Any) -> None:
    """Print what the function NAME (or all) printed, oldest first: the last 100 lines unless --tail says otherwise.

    Where lines before those are left out by default, a line on stderr says so. On a terminal, characters that it would
    obey (escapes, carriage returns, marks of direction) are written out, and ids are shortened.

    With --json the lines are one array; with --json and -f each line is one object on a line of its own.

    \b
    faas logs hello
    faas logs hello -f --tail 0            # only what comes from now on
    faas logs hello --since 2h --until 1h --tail all
    faas logs --invocation 019a3f1c-7d2e-7c40-8a5b-3f0e9d1c2b4a --json
    """
    if follow and query["until_ms"] is not None:
        raise errors.BadRequest("-f goes on without end, --until names one", hint="leave one of them out")
    api = client.connect()
    asked = {"function": name, **query}
    if follow:
        names.require(api, name)
    lines = _follow(api, asked, tail) if follow else iter(_stored(api, asked, tail))
    if as_json and not follow:
        output.emit(list(lines))
        return
    for line in lines:
        if as_json:
            output.line_of_json(msgspec.json.encode(line).decode())
        else:
            output.line(_text(line, named=name is None), raw=raw)


def _stored(api: client.Client, query: dict[str, Any], tail: int) -> Iterator[dict[str, Any]]:
    pages = _pages(api, query) if tail < 0 else iter([_last(api, query, tail)["lines"]])
    some = False
    for page in pages:
        some = some or bool(page)
        yield from page
    if some or not tail:
        return
    names.require_invocation(api, query["invocation_id"])
    names.require(api, query["function"])


def _pages(api: client.Client, query: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    after_id = None
    while True:
        page = api.get("/api/v1/logs", **query, after_id=after_id, limit=_PAGE)
        yield page["lines"]
        if len(page["lines"]) < _PAGE:
            return
        after_id = page["next_id"]


def _last(api: client.Client, query: dict[str, Any], tail: int) -> dict[str, Any]:
    """The last lines, and where to go on. One more is asked for, to know whether any are left out."""
    page: dict[str, Any] = api.get("/api/v1/logs", **query, tail=tail + 1 if tail else 0)
    if len(page["lines"]) > tail:
        page["lines"] = page["lines"][1:]
        if options.is_default("tail"):
            output.say(f"faas: lines before the last {tail} are left out; --tail all prints all")
    return page


def _follow(api: client.Client, query: dict[str, Any], tail: int) -> Iterator[dict[str, Any]]:
    """Lines as they come; a platform that is away for a while is waited for."""
    after_id = None
    is_away = False
    if tail >= 0:
        page = _last(api, query, tail)
        yield from page["lines"]
        after_id = page["next_id"]
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
    return f"{output.moment(line['at_ms'])} {who}{output.short_id(line['invocation_id'])} {line['text']}"
