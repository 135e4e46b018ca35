"""`faas logs`: what functions printed, once or as it comes; what the platform's processes say; both into a file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec

from faas.cli import client, ended, given, names, options, output
from faas.core import clock, errors
from faas.core.logs import log_lines, repeats

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


class _Shown(msgspec.Struct, frozen=True):
    """How lines are shown."""

    named: bool
    raw: bool
    as_json: bool
    columns: tuple[str, ...] = ()


@click.command()
@click.argument("functions", metavar="[FUNCTION]...", nargs=-1, shell_complete=names.functions)
@click.option("--follow", "-f", is_flag=True, help="Go on printing lines as they come, until Ctrl-C.")
@click.option(
    "--tail", "-n", type=_Tail(), default=_TAIL, show_default=True, help="The last so many lines that fit, or all."
)
@options.since_option
@options.until_option
@click.option("--invocation", metavar="ID", help="Only lines of this invocation.")
@click.option("--root", metavar="ID", help="Only of the chain that this invocation belongs to.")
@click.option("--level", type=click.Choice(list(log_lines.LEVELS)), help="Only lines of this level, or a graver one.")
@ended.option
@click.option("--grep", "--search", "grep", metavar="TEXT", help="Only lines that contain this text, in any case.")
@click.option(
    "--where",
    metavar="CONDITION",
    multiple=True,
    help="Only lines with a field that fits: size>1000, user.id=7, path~/in/, error, !error. All of several must hold.",
)
@click.option("--fields", metavar="NAMES", help="Print these fields as columns, as in size,user.id.")
@click.option("--before", type=click.IntRange(0), metavar="ID", help="Go on with a search that was cut.")
@click.option(
    "--export",
    metavar="FILE",
    help="Write all that fits to FILE, to bucket:key, or to - (stdout), a JSON object a line.",
)
@click.option("--platform", is_flag=True, help="Print what the platform's own processes say, from their files.")
@click.option("--process", "processes", metavar="NAME", multiple=True, help="With --platform: only of this process.")
@options.raw_option
@options.json_option
def logs_command(
    *,
    functions: tuple[str, ...],
    follow: bool,
    tail: int,
    fields: str | None,
    export: str | None,
    platform: bool,
    processes: tuple[str, ...],
    raw: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Print what functions printed (of all, when none is named), oldest first: the last 100 lines unless -n says more.

    Where lines before those are left out by default, a line on stderr says so. On a terminal, characters that it would
    obey (escapes, carriage returns, marks of direction) are written out, and ids are shortened. With -f a line is shown
    as it is printed, also while its attempt runs.

    A line that is a JSON object, and what `logging` is given as `extra`, has fields. A search that would take long is
    cut, and a line on stderr says how far it came.

    With --json the lines are one array; with --json and -f each line is one object on a line of its own.

    \b
    faas logs hello
    faas logs hello -f --tail 0            # only what comes from now on
    faas logs hello resize --since 2h --until 1h --tail all
    faas logs --level error --since 1d
    faas logs --grep 'timed out' --where 'size>1000' --fields size,user.id
    faas logs --invocation 019a3f1c-7d2e-7c40-8a5b-3f0e9d1c2b4a --json
    faas logs --since 7d --export logs.ndjson
    faas logs --platform --process node -f
    """
    _check(follow=follow, export=export, platform=platform, processes=processes, asked=asked)
    if platform:
        from faas.cli import platform_lines

        wanted = platform_lines.wanted(functions, processes, asked)
        platform_lines.show(wanted, tail=tail, follow=follow, raw=raw, as_json=as_json)
        return
    api = client.connect()
    query = _query(functions, asked)
    if export is not None:
        from faas.cli import log_export

        log_export.write(api, export, lambda: _pages(api, query))
        return
    names_of_fields = tuple(filter(None, (fields or "").split(",")))
    shown = _Shown(named=len(functions) != 1, raw=raw, as_json=as_json, columns=names_of_fields)
    # A name that nobody knows would be followed for ever without a line.
    if follow:
        names.require(api, *functions)
        _show_each(_follow(api, query, tail), shown)
        return
    _show_all(list(_stored(api, query, tail)), shown)


def _check(
    *, follow: bool, export: str | None, platform: bool, processes: Sequence[str], asked: Mapping[str, Any]
) -> None:
    """Raise `errors.BadRequest` for options that cannot be together."""
    if follow and asked["until_ms"] is not None:
        raise errors.BadRequest("-f goes on without end, --until names one", hint="leave one of them out")
    if follow and (export is not None or asked["before"] is not None):
        raise errors.BadRequest("-f goes on without end: it goes with neither --export nor --before")
    if processes and not platform:
        raise errors.BadRequest("--process names a process of the platform", hint="add --platform")
    of_functions = [name for name in ("root", "statuses", "where", "before") if asked[name]]
    if platform and (of_functions or export is not None):
        name = {"statuses": "status"}.get(of_functions[0], of_functions[0]) if of_functions else "export"
        raise errors.BadRequest(f"--{name} is about what functions print, --platform is not")


def _query(functions: Sequence[str], asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked of the control API."""
    return {
        "function": list(functions),
        "invocation": asked["invocation"],
        "root": asked["root"],
        "level": asked["level"],
        "status": ended.meant(asked["statuses"]),
        "grep": asked["grep"],
        "where": list(asked["where"]),
        "since": asked["since_ms"],
        "until": asked["until_ms"],
        "before": asked["before"],
    }


def _stored(api: client.Client, query: dict[str, Any], tail: int) -> Iterator[log_lines.LogRow]:
    pages = _pages(api, query) if tail < 0 else iter([_last(api, query, tail)])
    some = is_cut = False
    for page in pages:
        some, is_cut = some or bool(page["lines"]), is_cut or page["is_cut"]
        yield from _lines(page)
    # Nothing was found, and that was all: most likely a name or an id is wrong, which costs a question only now.
    if some or is_cut or not tail:
        return
    for invocation in filter(None, (query["invocation"], query["root"])):
        names.require_invocation(api, invocation)
    names.require(api, *query["function"])


def _pages(api: client.Client, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All that fits, from the first line. A search that is cut goes on where it was."""
    after: str | None = None
    # It is where a search among the last lines goes on, and this one goes forward.
    query = {**query, "before": None}
    while True:
        page: dict[str, Any] = api.get("/api/v1/logs", **query, after=after, limit=_PAGE)
        yield page
        if len(page["lines"]) < _PAGE and not page["is_cut"]:
            return
        after = page["next"]


def _last(api: client.Client, query: dict[str, Any], tail: int) -> dict[str, Any]:
    """The last lines, and where to go on. One more is asked for, to know whether any are left out."""
    page: dict[str, Any] = api.get("/api/v1/logs", **query, tail=tail + 1 if tail else 0)
    if len(page["lines"]) > tail:
        page["lines"] = page["lines"][1:]
        if given.is_default("tail"):
            output.say(f"faas: lines before the last {tail} are left out; --tail all prints all")
    elif page["is_cut"]:
        reached = f" of {output.moment(page['reached_ms'])}" if page["reached_ms"] is not None else ""
        output.say(
            f"faas: the search was cut: it came back to lines{reached}; it goes on with --before {page['reached_id']}"
        )
    return page


def _lines(page: dict[str, Any]) -> list[log_lines.LogRow]:
    return msgspec.convert(page["lines"], list[log_lines.LogRow])


def _follow(api: client.Client, query: dict[str, Any], tail: int) -> Iterator[log_lines.LogRow]:
    """Lines as they come, each once; a platform that is away for a while is waited for."""
    after: str | None = None
    is_away = False
    seen = repeats.SeenLines()
    if tail >= 0:
        page = _last(api, query, tail)
        yield from seen.fresh(_lines(page))
        after = page["next"]
    if tail == 0 and query["since"] is None:
        query = {**query, "since": clock.now_ms()}  # else what runs already would tell from its beginning
    while True:
        try:
            page = api.get("/api/v1/logs", **query, after=after, limit=_PAGE, wait_ms=_WAIT_MS, live="true")
        except errors.Unavailable as error:
            # Said once, and not each second that it lasts.
            if not is_away:
                output.say(f"faas: {error.message}; waiting for it")
            is_away = True
            time.sleep(_TRY_AGAIN_S)
            continue
        is_away = False
        yield from seen.fresh(_lines(page))
        after = page["next"]


def _show_all(lines: Sequence[log_lines.LogRow], shown: _Shown) -> None:
    """All lines at once: as one array, as a table where columns are asked for, or one by one."""
    if shown.as_json:
        output.emit([msgspec.to_builtins(line) for line in lines])
    elif shown.columns:
        _table(lines, shown)
    else:
        _show_each(iter(lines), shown)


def _show_each(lines: Iterator[log_lines.LogRow], shown: _Shown) -> None:
    for line in lines:
        if shown.as_json:
            output.line_of_json(msgspec.json.encode(line).decode())
        else:
            output.line(_text(line, shown), raw=shown.raw)


def _table(lines: Sequence[log_lines.LogRow], shown: _Shown) -> None:
    head = ("time", *(("function",) if shown.named else ()), "invocation", "level", *shown.columns, "message")
    output.table(head, [_row(line, shown) for line in lines])


def _row(line: log_lines.LogRow, shown: _Shown) -> tuple[Any, ...]:
    facts = log_lines.read(line.text)
    return (
        output.moment(line.at_ms),
        *((f"{line.function}@{line.revision}",) if shown.named else ()),
        output.short_id(line.invocation_id),
        line.level or "",
        *(_cell(facts.fields.get(name)) for name in shown.columns),
        facts.message,
    )


def _cell(value: log_lines.Scalar) -> str:
    """A field as JSON has it, a text as it is: numbers of a log are no figures of ours, and get no commas."""
    return "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _text(line: log_lines.LogRow, shown: _Shown) -> str:
    who = f"{line.function}@{line.revision} " if shown.named else ""
    begin = f"{output.moment(line.at_ms)} {who}{output.short_id(line.invocation_id)} "
    if not shown.columns:
        return begin + line.text
    facts = log_lines.read(line.text)
    told = [f"{name}={_cell(facts.fields[name])}" for name in shown.columns if name in facts.fields]
    return begin + " ".join([*told, facts.message])
