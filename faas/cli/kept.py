"""`faas kept`: what is kept, for how long, how much room it takes; and setting for how long."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, layout, lazy, names, options, output
from faas.core import durations, keeping

_PATH = "/api/v1/kept"
_EVER = "ever"
_WORDS = {"minutes": "figures by the minute", "hours": "figures by the hour"}
_KINDS = [kind.value.replace("_", "-") for kind in keeping.KeepKind]


class _KeepTime(click.ParamType[int]):
    """A time such as ``14d``, or ``ever``."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Milliseconds, 0 for ever."""
        if isinstance(value, int):
            return value
        found = 0 if value == _EVER else durations.age_ms(value)
        if found is None or (found == 0 and value != _EVER):
            self.fail(f"{value!r} is no time: write 12h, 14d, or {_EVER}", param, ctx)
        return found


@click.group(cls=lazy.Group)
def kept_group() -> None:
    """Show what is kept, for how long and how much room it takes, and set for how long.

    What is set here counts above faas.toml, the environment and flags, at once and for all processes; what is set for
    a function counts above its manifest (`keep:`), and that above what is set for all.

    \b
    faas kept ls
    faas kept set logs 3d --function shop
    faas kept unset logs --function shop
    """


@kept_group.command("ls")
@click.argument("function", required=False, shell_complete=names.functions)
@options.limit_option(20, 1_000)
@options.json_option
def ls_command(*, function: str | None, limit: int, as_json: bool) -> None:
    """List what is kept of all functions by kind, and of those that keep most bytes; or of one FUNCTION.

    FOR is how long it is kept, BY who says so: settings, all (set for all functions), manifest or function. FREED is
    what was removed because its time had come. An artifact that functions share counts for each of them. A dash stands
    for what is not counted.

    \b
    faas kept ls
    faas kept ls resize
    faas kept ls --json | jq '.functions[] | {name, bytes}'
    """
    found = client.connect().get(_PATH, function=function, limit=limit)
    if as_json:
        output.emit(found)
    elif function is not None:
        _show_one(function, found["functions"])
    else:
        _show_all(found)


def _show_all(found: dict[str, Any]) -> None:
    output.table(
        ("KIND", "KEPT", "MB", layout.Column("FREED", drop=1), "FOR", "BY"),
        [
            (_word(kind), _number(each["count"]), _mb(each["bytes"]), each["freed"], *_term(each["keep"]))
            for kind, each in found["kinds"].items()
        ],
    )
    size, free = _mb(found["database_bytes"]), _mb(found["database_free_bytes"])
    looked = output.moment(found["looked_at_ms"]) if found["looked_at_ms"] else "not yet"
    output.line()
    output.facts([("", f"database {size} MB, of which {free} are free; last looked: {looked}")], indent=0)
    output.line()
    output.table(
        (
            layout.Column("FUNCTION", cut=True),
            "LOGS MB",
            "RECORDS MB",
            "CODE MB",
            layout.Column("REVISIONS", drop=2),
            layout.Column("DEAD LETTERS", drop=1),
        ),
        [_function(each) for each in found["functions"]],
    )
    if found["total"] > len(found["functions"]):
        output.say(f"{len(found['functions'])} of {found['total']} functions; --limit shows more")


def _function(each: dict[str, Any]) -> tuple[Any, ...]:
    kinds = each["kinds"]
    sizes = [_mb(kinds.get(kind, {}).get("bytes", 0)) for kind in ("logs", "records", "artifacts")]
    return each["name"], *sizes, *(kinds.get(kind, {}).get("count", 0) for kind in ("revisions", "dead_letters"))


def _show_one(name: str, found: list[dict[str, Any]]) -> None:
    if not found:
        output.say(f"nothing is kept of {name}")
        return
    one = found[0]
    rows = [
        (_word(kind), each["count"], _mb(each["bytes"]), *_term(one["keep"].get(_rule(kind))))
        for kind, each in one["kinds"].items()
    ]
    output.table(("KIND", "KEPT", "MB", "FOR", "BY"), [*rows, ("figures", _number(one["figures"]), "-", "-", "-")])


def _rule(kind: str) -> str:
    return "dead_letters" if kind == "undelivered" else kind


def _word(kind: str) -> str:
    return _WORDS.get(kind, kind.replace("_", " "))


def _term(term: dict[str, Any] | None) -> tuple[str, str]:
    if term is None:
        return "-", "-"
    return (durations.written(term["keep_ms"]) if term["keep_ms"] else _EVER), term["origin"]


def _number(count: int | None) -> Any:
    return "-" if count is None else count


def _mb(size: int | None) -> str:
    return "-" if size is None else f"{size / 1024 / 1024:.1f}"


def _function_option(command: options.Command) -> options.Command:
    return click.option(
        "--function", metavar="NAME", shell_complete=names.functions, help="Of this function; of all without it."
    )(command)


@kept_group.command("set")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("time", type=_KeepTime())
@_function_option
@options.json_option
def set_command(*, kind: str, time: int, function: str | None, as_json: bool) -> None:
    """Keep what is of KIND for TIME: 12h, 14d or ever.

    Undelivered records go with dead letters. The job that removes looks every ten minutes (retention_interval_s).
    Revisions that serve, or are among a function's last ten, stay whatever their age.

    \b
    faas kept set logs 14d
    faas kept set logs 3d --function shop
    faas kept set records ever --function shop
    """
    _change(kind, time, function, as_json)


@kept_group.command("unset")
@click.argument("kind", type=click.Choice(_KINDS))
@_function_option
@options.json_option
def unset_command(*, kind: str, function: str | None, as_json: bool) -> None:
    """Forget what was set for KIND: the function's manifest counts again, what is set for all, or else the settings.

    \b
    faas kept unset logs --function shop
    """
    _change(kind, None, function, as_json)


def _change(kind: str, keep_ms: int | None, function: str | None, as_json: bool) -> None:
    import msgspec

    body = msgspec.json.encode({"keep_ms": keep_ms, "function": function})
    path = f"{_PATH}/{kind.replace('-', '_')}"
    found = client.connect().send("PUT", path, body=body, headers={"Content-Type": "application/json"}).value
    if as_json:
        output.emit(found)
        return
    whose = "all functions" if function is None else function
    time, origin = _term(found)
    output.say(f"{_word(kind.replace('-', '_'))} of {whose} are kept for {time} (by {origin})")
