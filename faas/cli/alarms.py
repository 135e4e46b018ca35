"""`faas alarms`: how alarms stand, what came to pass, and letting them be silent or be tried."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from faas.cli import client, layout, lazy, names, options, output
from faas.core import clock, durations, errors
from faas.core.alarms import rules

_PATH = "/api/v1/alarms"
_STATES = ("ok", "pending", "firing", "resolved", "no_data")
_MOST = 10_000
_STALE_INTERVALS = 3
_STALE_MS = 30_000
_LONGEST_MS = 366 * 86_400_000


@click.group(cls=lazy.Group)
def alarms_group() -> None:
    """List, show, test and silence alarms.

    They are declared under `alarms` in faas.yaml, of a function or of all, and in `alarms.yaml` of the data directory.

    \b
    faas alarms ls --state firing
    faas alarms history resize.errors
    faas alarms silence resize.errors --for 2h
    """


@alarms_group.command("ls")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Only these; several add up.")
@click.option("--function", metavar="NAME", shell_complete=names.functions, help="Only of this function.")
@options.limit_option(100, _MOST)
@options.json_option
def ls_command(*, states: tuple[str, ...], function: str | None, limit: int, as_json: bool) -> None:
    """List alarms as they stand, those that fire first."""
    found = client.connect().get(_PATH, state=states or None, function=function, limit=limit)
    if found["fault"]:
        output.say(f"faas: alarms.yaml is not in force, but what it held before:\n{found['fault']}")
    _say_if_stale(found)
    if as_json:
        output.emit(found["alarms"])
        return
    _table(found["alarms"])
    output.say_cut(len(found["alarms"]), limit)


def _say_if_stale(found: Mapping[str, Any]) -> None:
    """What stands here is old where no scheduler looks, and would read as if all were well."""
    interval_ms = options.settings().alarms.alarm_interval_s * 1_000
    at_ms = found["looked_at_ms"]
    if found["alarms"] and at_ms and clock.now_ms() - at_ms > _STALE_INTERVALS * interval_ms + _STALE_MS:
        output.say(f"faas: nobody has looked since {output.moment(at_ms)}: does a scheduler run? see `faas doctor`")


def _table(found: list[dict[str, Any]]) -> None:
    output.table(
        (
            layout.Column("ALARM", cut=True),
            layout.Column("FUNCTION", drop=2, cut=True),
            "STATE",
            layout.Column("SINCE", drop=1),
            layout.Column("FOUND", cut=True),
        ),
        [
            (each["name"], each["function"], _state(each), output.moment(each["since_ms"]), each["text"])
            for each in found
        ],
    )


def _state(alarm: Mapping[str, Any]) -> str:
    said = alarm["state"].replace("_", " ")
    return f"{said}, silent" if alarm["silenced_until_ms"] else said


@alarms_group.command("show")
@click.argument("name")
@options.json_option
def show_command(*, name: str, as_json: bool) -> None:
    """Show one alarm: its rule, who is told, and how it stands.

    \b
    faas alarms show resize.errors
    faas alarms show resize.errors --json | jq '.standings[].state'
    """
    found = client.connect().get(_path(name))
    if as_json:
        output.emit(found)
        return
    facts = [("alarm", found["name"]), ("rule", found["rule"]), ("declared", _declared(found))]
    facts += [("tells", place(each)) for each in found["notify"]] or [("tells", "nobody")]
    facts += [("reminds", f"every {durations.written(found['remind_ms'])}")] if found["remind_ms"] else []
    silent = [each["silenced_until_ms"] for each in found["standings"] if each["silenced_until_ms"]]
    facts += [("silent", f"until {output.moment(max(silent))}")] if silent else []
    output.facts(facts)
    output.line()
    _table(found["standings"])


def _declared(found: Mapping[str, Any]) -> str:
    by = {"platform": "in alarms.yaml", "project": "at the top of a manifest", "function": "in its function's block"}
    revision = f", revision {found['revision']}" if found["revision"] else ""
    return f"{output.moment(found['declared_at_ms'])}, {by[found['kind']]}{revision}"


def place(notify: Mapping[str, Any]) -> str:
    """Where an alarm is told, for people."""
    kind = str(notify["kind"])
    return {"log": "the log", "url": str(notify.get("url"))}.get(kind, f"{kind} {notify.get(kind)}")


@alarms_group.command("history")
@click.argument("name")
@options.limit_option(100, 1_000)
@options.json_option
def history_command(*, name: str, limit: int, as_json: bool) -> None:
    """List what came to pass with an alarm, the newest first."""
    found = client.connect().get(f"{_path(name)}/history", limit=limit)["events"]
    if as_json:
        output.emit(found)
        return
    output.table(
        ("AT", layout.Column("FUNCTION", drop=1, cut=True), "BECAME", layout.Column("FOUND", cut=True)),
        [(output.moment(each["at_ms"]), each["function"] or None, _became(each), each["text"]) for each in found],
    )
    output.say_cut(len(found), limit)


def _became(event: Mapping[str, Any]) -> str:
    return "-" if event["was"] == event["became"] else str(event["became"]).replace("_", " ")


@alarms_group.command("test")
@click.argument("name")
@options.json_option
def test_command(*, name: str, as_json: bool) -> None:
    """Send a message that says that it is a test to wherever an alarm is told.

    Messages to URLs are tried again as records for destinations are; `faas logs` of a function shows what arrived.
    """
    found = client.connect().send("POST", f"{_path(name)}/test").value
    if as_json:
        output.emit(found)
        return
    for each in found["sent"]:
        output.say(f"sent a test to {place(each)}")
    if not found["sent"]:
        output.say(f"{name} tells nobody")


_function_option = click.option("--function", metavar="NAME", help="Only of this one, of an alarm on each function.")


@alarms_group.command("silence")
@click.argument("name")
@click.option("--for", "for_span", default="1h", show_default=True, metavar="SPAN", help="How long: 90s, 30m, 2h, 7d.")
@_function_option
@options.json_option
def silence_command(*, name: str, for_span: str, function: str | None, as_json: bool) -> None:
    """Let an alarm tell nobody for a while. It goes on being looked at.

    What fires still when the time has passed is told then.

    \b
    faas alarms silence resize.errors --for 2h
    """
    body = json.dumps({"for_ms": _span(for_span), "function": function}).encode()
    found = client.connect().send("POST", f"{_path(name)}/silence", body=body).value
    if as_json:
        output.emit(found)
        return
    output.say(f"{name} is silent until {output.moment(found['until_ms'])}")


@alarms_group.command("unsilence")
@click.argument("name")
@_function_option
@options.json_option
def unsilence_command(*, name: str, function: str | None, as_json: bool) -> None:
    """Let an alarm tell again."""
    found = client.connect().send("DELETE", f"{_path(name)}/silence", query={"function": function}).value
    if as_json:
        output.emit(found)
        return
    output.say(f"{name} tells again")


def _span(text: str) -> int:
    found = rules.span_ms(text)
    if found is None or not 1_000 <= found <= _LONGEST_MS:
        raise errors.BadRequest(f"--for: found {text!r}, expected a span from 1s to 366d, such as 90s, 30m, 2h or 7d")
    return found


def _path(name: str) -> str:
    return f"{_PATH}/{client.quote(name)}"
