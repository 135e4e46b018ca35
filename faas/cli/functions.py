"""`faas ls`, `faas describe`, `faas rm`."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, options, output
from faas.cli import names as known


@click.command()
@options.json_option
def ls_command(*, as_json: bool) -> None:
    """List the functions.

    \b
    faas ls
    faas ls --json
    """
    listed = client.connect().get("/api/v1/functions")["functions"]
    if as_json:
        output.emit(listed)
        return
    output.table(
        ("FUNCTION", "REVISION", "RUNTIME", "MEMORY", "TIMEOUT", "TRIGGERS", "DEPLOYED"),
        [_row(function) for function in listed],
    )


def _row(function: dict[str, Any]) -> tuple[Any, ...]:
    config = function["config"]
    return (
        function["name"],
        function["revision"],
        config["runtime"],
        f"{config['memory_mb']} MB",
        output.duration(config["timeout_ms"]),
        ", ".join(trigger(each) for each in config["triggers"]) or "-",
        output.moment(function["created_at_ms"]),
    )


def trigger(found: dict[str, Any]) -> str:
    """A trigger in one phrase: ``http GET /thumb/{name}``, ``timer */5 * * * *``, ``upload photos/in/*.jpg``."""
    if found["kind"] == "http":
        return f"http {'|'.join(found.get('methods', ())) or 'ANY'} {found['path']}"
    if found["kind"] == "timer":
        zone = found.get("timezone", "UTC")
        cron = f"{found.get('cron')}{'' if zone == 'UTC' else f' {zone}'}"
        return f"timer every {output.duration(found['every_ms'])}" if found.get("every_ms") else f"timer {cron}"
    endings = "|".join(found.get("suffix", ())) or ""
    return f"upload {found['bucket']}/{found.get('prefix', '')}*{endings}"


@click.command()
@click.argument("name", shell_complete=known.functions)
@options.json_option
def describe_command(*, name: str, as_json: bool) -> None:
    """Show everything about the function NAME: its configuration, revisions, URLs, and where its invocations are.

    \b
    faas describe hello
    faas describe hello --json
    """
    api = client.connect()
    found = api.get(f"/api/v1/functions/{client.quote(name)}")
    found["urls"] = _urls(api.where.gateway, found)
    if as_json:
        output.emit(found)
        return
    for label, value in _facts(found):
        output.line(f"{label:<12}{value}")
    output.line()
    output.table(
        ("REVISION", "ARTIFACT", "DEPLOYED", "CURRENT"),
        [
            (str(each["number"]), each["artifact"][:12], output.moment(each["created_at_ms"]), each["current"])
            for each in found["revisions"]
        ],
    )


def _urls(gateway: str, function: dict[str, Any]) -> list[str]:
    paths = [each["path"] for each in function["config"]["triggers"] if each["kind"] == "http"]
    return [f"{gateway}{path}" for path in [*paths, f"/fn/{function['name']}"]] if paths else []


def _facts(function: dict[str, Any]) -> list[tuple[str, str]]:
    config, places = function["config"], function["places"]
    facts = [
        ("function", f"{function['name']}@{function['revision']}"),
        ("runtime", config["runtime"]),
        ("handler", config["handler"]),
        ("memory", f"{config['memory_mb']} MB"),
        ("cpu", f"{config['cpu_milli'] / 1000:g}"),
        ("timeout", output.duration(config["timeout_ms"])),
        ("network", config["network"]),
        ("prewarm", str(config["prewarm"])),
        ("artifact", function["artifact"]),
    ]
    facts += [("env", f"{key}={value}") for key, value in sorted(config["env"].items())]
    facts += [("bucket", f"{bucket}: {access}") for bucket, access in sorted(config["buckets"].items())]
    facts += [("trigger", trigger(each)) for each in config["triggers"]]
    facts += [("url", url) for url in function["urls"]]
    return [*facts, ("invocations", ", ".join(f"{count} {place}" for place, count in places.items()))]


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=known.functions)
@options.json_option
def rm_command(*, names: tuple[str, ...], as_json: bool) -> None:
    """Remove functions. Their records, logs and objects stay.

    \b
    faas rm hello
    """
    api = client.connect()
    removed = []
    for name in names:
        removed.append(api.send("DELETE", f"/api/v1/functions/{client.quote(name)}").value["name"])
        output.say(f"removed {name}")
    if as_json:
        output.emit({"removed": removed})
