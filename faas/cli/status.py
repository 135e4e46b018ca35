"""`faas status`: where every invocation is, and the nodes."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, options, output

_PLACES = ("accepted", "waiting", "running", "retrying", "done", "dead", "drift")


@click.command()
@options.json_option
def status_command(*, as_json: bool) -> None:
    """Show where the invocations of each function are, and the nodes. Drift is always 0.

    \b
    faas status
    faas status --json | jq .functions.hello.waiting
    """
    api = client.connect()
    found: dict[str, Any] = api.get("/api/v1/status")
    found = {"gateway": api.where.gateway, "api": api.where.api, **found}
    if as_json:
        output.emit(found)
        return
    output.line(f"gateway  {found['gateway']}\napi      {found['api']}\n")
    output.table(
        ("FUNCTION", *(place.upper() for place in _PLACES)),
        [(name, *(places[place] for place in _PLACES)) for name, places in found["functions"].items()],
    )
    output.line()
    output.table(
        ("NODE", "HOST", "PID", "ENGINE", "MEMORY", "SANDBOXES"),
        [
            (node["name"], node["host"], str(node["pid"]), node["engine"], _memory(node), _sandboxes(node))
            for node in found["nodes"]
        ],
    )
    if any(node["engine"] == "process" for node in found["nodes"]):
        output.say("WARNING: functions run as plain processes, which isolates nothing")


def _memory(node: dict[str, Any]) -> str:
    return f"{node['memory_used_mb']} of {node['memory_mb']} MB"


def _sandboxes(node: dict[str, Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(node["sandboxes"].items())) or "none"
