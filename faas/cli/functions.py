"""`faas ls`, `faas describe`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from faas.cli import client, layout, options, output, places
from faas.cli import names as known
from faas.core import clock, durations, errors, model
from faas.core.money import billing

_OBJECTS = 1_000


@click.command()
@click.argument("where", required=False, metavar="[BUCKET[/PREFIX]]")
@click.option(
    "--sort",
    type=click.Choice(["name", "newest", "memory"]),
    default="name",
    show_default=True,
    help="What comes first of the functions: names by the alphabet, the last deployed, or the largest.",
)
@click.option(
    "--limit", "-n", type=click.IntRange(1, 1_000_000), default=_OBJECTS, show_default=True, help="Objects at most."
)
@options.json_option
def ls_command(*, where: str | None, sort: str, limit: int, as_json: bool) -> None:
    """List the functions; or the objects of a BUCKET, those whose keys start with PREFIX, in the order of keys.

    \b
    faas ls
    faas ls photos
    faas ls photos/in/ --json
    """
    api = client.connect()
    if where is None:
        _list_functions(api, sort, as_json)
    else:
        _list_objects(api, places.parse(where), limit, as_json)


def _list_functions(api: client.Client, sort: str, as_json: bool) -> None:
    listed = sorted(api.get("/api/v1/functions")["functions"], key=_ORDERS[sort])
    if as_json:
        output.emit(listed)
        return
    output.table(
        (
            layout.Column("FUNCTION", cut=True),
            layout.Column("REVISION", drop=4),
            layout.Column("RUNTIME", drop=2),
            layout.Column("MEMORY", drop=3),
            layout.Column("TIMEOUT", drop=1),
            layout.Column("TRIGGERS", cut=True),
            layout.Column("DEPLOYED", drop=5),
        ),
        [_row(function) for function in listed],
    )


_ORDERS = {
    "name": lambda each: each["name"],
    "newest": lambda each: -each["created_at_ms"],
    "memory": lambda each: -each["config"]["memory_mb"],
}


def _list_objects(api: client.Client, place: places.KeyPlace, limit: int, as_json: bool) -> None:
    found = list(_objects(api, place, limit))
    if as_json:
        output.emit(found)
        return
    output.table(
        ("BYTES", layout.Column("WRITTEN", drop=1), "KEY"),
        [(each["size_bytes"], output.moment(each["modified_ms"]), each["key"]) for each in found],
    )
    output.say_cut(len(found), limit)


def _objects(api: client.Client, place: places.KeyPlace, limit: int) -> Any:
    try:
        yield from places.objects(api, place, limit)
    except errors.NotFound as error:
        # Asked only after the bucket was not found: who lists a function's name mostly wants the function.
        if any(each["name"] == place.bucket for each in api.get("/api/v1/functions")["functions"]):
            hint = f"{place.bucket} is a function: see `faas describe {place.bucket}`"
            raise errors.NotFound(error.message, hint=hint) from error
        raise


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

    What is due later are delayed calls and attempts that follow a failure; --json calls them `retrying`.

    \b
    faas describe hello
    faas describe hello --json
    """
    api = client.connect()
    found = api.get(f"/api/v1/functions/{client.quote(name)}")
    found["urls"] = _urls(api.where.gateway, found)
    found["next_due_at_ms"] = _next_due(found["config"]["triggers"])
    if as_json:
        output.emit(found)
        return
    output.facts(_facts(found))
    output.line()
    output.table(
        ("REVISION", layout.Column("ARTIFACT", drop=1), "DEPLOYED", "CURRENT"),
        [
            (str(each["number"]), each["artifact"][:12], output.moment(each["created_at_ms"]), each["current"])
            for each in found["revisions"]
        ],
    )


def _urls(gateway: str, function: dict[str, Any]) -> list[str]:
    paths = [each["path"] for each in function["config"]["triggers"] if each["kind"] == "http"]
    return [f"{gateway}{path}" for path in [*paths, f"/fn/{function['name']}"]] if paths else []


def _next_due(triggers: list[dict[str, Any]]) -> int | None:
    """The moment at which the first of its timers is due."""
    # Here and not above: cron lines need the tables of time zones, which other commands need not wait for.
    from triggers import schedule

    now_ms = clock.now_ms()
    timers = [msgspec.convert(each, model.TimerTrigger) for each in triggers if each["kind"] == "timer"]
    return min((due for each in timers if (due := schedule.next_due(each, now_ms)) is not None), default=None)


def _facts(function: dict[str, Any]) -> list[tuple[str, str]]:
    config = function["config"]
    facts = [
        ("function", f"{function['name']}@{function['revision']}"),
        ("runtime", config["runtime"]),
        ("handler", config["handler"]),
        ("memory", f"{config['memory_mb']} MB"),
        ("cpu", f"{config['cpu_milli'] / 1000:g}"),
        ("timeout", output.duration(config["timeout_ms"])),
        ("network", config["network"]),
        ("concurrency", f"{config['max_concurrency']} at once, {config['prewarm']} sandboxes held ready"),
        ("retries", _retries(config["retries"], idempotent=config["idempotent"])),
        ("artifact", function["artifact"]),
    ]
    facts += [("on success", _destination(config["on_success"]))] if config["on_success"] else []
    facts += [("on failure", _destination(config["on_failure"]))] if config["on_failure"] else []
    facts += [("budget", _budget(config["budget"]))] if config["budget"] else []
    facts += [("keep", _keep(config["keep"]))] if config["keep"] else []
    facts += [("tag", f"{key}={value}") for key, value in sorted(config["tags"].items())]
    facts += [("env", f"{key}={value}") for key, value in sorted(config["env"].items())]
    facts += [("bucket", f"{bucket}: {access}") for bucket, access in sorted(config["buckets"].items())]
    facts += [("trigger", trigger(each)) for each in config["triggers"]]
    if function["next_due_at_ms"] is not None:
        facts.append(("next due", output.moment(function["next_due_at_ms"])))
    facts += [("url", url) for url in function["urls"]]
    shown = ", ".join(f"{count} {output.PLACES.get(place, place)}" for place, count in function["places"].items())
    return [*facts, ("invocations", shown)]


def _retries(retries: dict[str, Any], *, idempotent: bool) -> str:
    most = retries["maximum_retry_attempts"]
    if not most:
        return "none"
    which = "of any call" if idempotent else "of async calls"
    age, wait = output.duration(retries["maximum_event_age_ms"]), output.duration(retries["backoff_ms"])
    return f"{most} {which} after {', '.join(retries['on'])}, waiting {wait} and longer, up to an age of {age}"


def _budget(budget: dict[str, Any]) -> str:
    return f"{billing.decimal(budget['amount_pico'])} a {budget['per']}, then {budget['then']}"


def _keep(said: dict[str, int]) -> str:
    return ", ".join(f"{kind} {durations.written(ms) if ms else 'ever'}" for kind, ms in said.items())


def _destination(found: dict[str, Any]) -> str:
    if found["kind"] == "function":
        return f"the function {found['function']}"
    return str(found["url"]) if found["kind"] == "url" else f"the bucket {found['bucket']}/{found.get('prefix', '')}"
