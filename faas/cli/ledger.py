"""`faas records`, `faas stats`, `faas bill`: what happened, how fast, and what it costs."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, names, options, output

_STATUSES = ("ok", "error", "timeout", "oom", "init_error", "lost", "rejected")


@click.command()
@click.argument("name", required=False, shell_complete=names.functions)
@options.since_option
@click.option("--status", type=click.Choice(_STATUSES), help="Only attempts that ended so.")
@click.option("--root", "root_id", metavar="INVOCATION_ID", help="Only of the chain that began with this invocation.")
@click.option("--limit", "-n", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@options.json_option
def records_command(
    *, name: str | None, since_ms: int | None, status: str | None, root_id: str | None, limit: int, as_json: bool
) -> None:
    """List the records of attempts of the function NAME (or of all), newest first.

    \b
    faas records
    faas records transcode --since 1h --status error
    """
    query = {"function": name, "since_ms": since_ms, "status": status, "root_id": root_id, "limit": limit}
    found = client.connect().get("/api/v1/invocations", **query)["records"]
    if as_json:
        output.emit(found)
        return
    output.table(
        ("ENDED", "FUNCTION", "INVOCATION", "TRIGGER", "STATUS", "COLD", "QUEUE MS", "DURATION MS", "BILLED MS"),
        [_record(record) for record in found],
    )


def _record(record: dict[str, Any]) -> tuple[Any, ...]:
    return (
        output.moment(record["ended_at_ms"]),
        f"{record['function']}@{record['revision']}",
        record["invocation_id"],
        record["trigger"],
        record["status"],
        record["cold_start_kind"],
        record["queue_ms"],
        f"{record['duration_ms']:.2f}",
        record["billed_ms"],
    )


@click.command()
@click.argument("name", required=False, shell_complete=names.functions)
@options.since_option
@options.json_option
def stats_command(*, name: str | None, since_ms: int | None, as_json: bool) -> None:
    """Show calls, errors, durations and cold starts of the function NAME (or of all), by default of the last day.

    \b
    faas stats
    faas stats hello --since 10m
    """
    found = client.connect().get("/api/v1/stats", function=name, since_ms=since_ms)["functions"]
    if as_json:
        output.emit(found)
        return
    output.table(
        ("FUNCTION", "CALLS", "ERRORS", "COLD", "P50 MS", "P95 MS", "P99 MS", "QUEUE P95 MS", "INIT P95 MS"),
        [_stats(stats) for stats in found],
    )


def _stats(stats: dict[str, Any]) -> tuple[Any, ...]:
    durations = [f"{stats['duration_ms'][rank]:.2f}" for rank in ("p50", "p95", "p99")]
    waits = [f"{stats[what]['p95']:.0f}" for what in ("queue_ms", "init_ms")]
    return (stats["function"], stats["count"], stats["errors"], stats["cold_starts"], *durations, *waits)


@click.command()
@options.since_option
@click.option("--by", type=click.Choice(["function", "day", "trigger"]), default="function", show_default=True)
@options.json_option
def bill_command(*, since_ms: int | None, by: str, as_json: bool) -> None:
    """Add up billed milliseconds and cost. Whole days are counted (UTC), from the one that holds --since.

    \b
    faas bill
    faas bill --since 7d --by day
    faas bill --json | jq .total.cost
    """
    found = client.connect().get("/api/v1/bill", since_ms=since_ms, by=by)
    if as_json:
        output.emit(found)
        return
    total, currency = found["total"], found["currency"]
    output.table(
        (by.upper(), "ATTEMPTS", "BILLED MS", "COST"),
        [(line["name"], *_amount(line, currency)) for line in found["lines"]],
        total=("total", *_amount(total, currency)),
    )


def _amount(amount: dict[str, Any], currency: str) -> tuple[Any, ...]:
    return amount["count"], amount["billed_ms"], output.money(amount["cost_pico"], currency)
