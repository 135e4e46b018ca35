"""`faas status`: which alarms fire, where every invocation is, the nodes, and what is kept."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, layout, options, output

_PLACES = ("accepted", "waiting", "running", "retrying", "done", "dead", "drift")
_MOST_FIRING = 10
_DROPPED = {"accepted": 1, "done": 2, "drift": 3}
"""In what order columns are left out on a narrow terminal."""


@click.command()
@options.json_option
def status_command(*, as_json: bool) -> None:
    """Show which alarms fire, where the invocations of each function are, the nodes, and what is kept.

    Drift is always 0.

    What is due later are delayed calls and attempts that follow a failure; --json calls them `retrying`. FREED is what
    was removed because its time had come; bills and totals outlive their records.

    \b
    faas status
    faas status --json | jq .functions.hello.waiting
    faas status --json | jq .kept.kinds.records
    """
    api = client.connect()
    found: dict[str, Any] = api.get("/api/v1/status")
    firing = api.get("/api/v1/alarms", state="firing", limit=_MOST_FIRING)
    found = {"gateway": api.where.gateway, "api": api.where.api, **found, "firing": firing["alarms"]}
    if as_json:
        output.emit(found)
        return
    output.line(f"gateway  {found['gateway']}\napi      {found['api']}\n")
    _show_firing(firing)
    output.table(
        (
            layout.Column("FUNCTION", cut=True),
            *(layout.Column(output.PLACES.get(place, place).upper(), _DROPPED.get(place)) for place in _PLACES),
        ),
        [(name, *(places[place] for place in _PLACES)) for name, places in found["functions"].items()],
    )
    output.line()
    output.table(
        (
            layout.Column("NODE", cut=True),
            layout.Column("HOST", drop=2),
            layout.Column("PID", drop=1),
            layout.Column("ENGINE", drop=3),
            "MEMORY",
            layout.Column("SANDBOXES", cut=True),
        ),
        [
            (node["name"], node["host"], str(node["pid"]), node["engine"], _memory(node), _sandboxes(node))
            for node in found["nodes"]
        ],
    )
    output.line()
    _show_kept(found["kept"])
    _say_budgets(found["budgets"])
    if any(node["engine"] == "process" for node in found["nodes"]):
        output.say("WARNING: functions run as plain processes, which isolates nothing")


def _show_firing(firing: dict[str, Any]) -> None:
    if not firing["total"]:
        return
    output.facts([("FIRING", f"{each['name']}: {each['text']}") for each in firing["alarms"]], indent=9)
    if firing["total"] > len(firing["alarms"]):
        output.line(f"         and {firing['total'] - len(firing['alarms'])} more: faas alarms ls --state firing")
    output.line()


def _show_kept(kept: dict[str, Any]) -> None:
    output.table(
        ("KIND", "KEPT", "KEPT MB", "FREED", "FREED MB"),
        [_kept(kind, each) for kind, each in kept["kinds"].items()],
    )
    looked = output.moment(kept["looked_at_ms"]) if kept["looked_at_ms"] else "not yet"
    size, free = _mb(kept["database_bytes"]), _mb(kept["database_free_bytes"])
    output.line()
    text = f"database {size} MB, of which {free} are free; last looked for what is past its time: {looked}"
    output.facts([("", text)], indent=0)


def _say_budgets(reached: list[dict[str, Any]]) -> None:
    """Say which budgets are reached, and what that keeps from running."""
    for one in reached:
        whose = "all functions together" if one["function"] == "*" else one["function"]
        state = f"stopped until {output.moment(one['until_ms'])}" if one["state"] == "stopped" else one["state"]
        output.say(f"faas: budget of {whose}, {one['amount_decimal']} a {one['per']}: {state}")


def _kept(kind: str, kept: dict[str, int]) -> tuple[Any, ...]:
    return kind.replace("_", " "), kept["count"], _mb(kept["bytes"]), kept["freed"], _mb(kept["freed_bytes"])


def _mb(size: int) -> str:
    return f"{size / 1024 / 1024:.1f}"


def _memory(node: dict[str, Any]) -> str:
    return f"{node['memory_used_mb']} of {node['memory_mb']} MB"


def _sandboxes(node: dict[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(node["sandboxes"].items())) or "none"
