"""`faas records`: what happened."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, ended, layout, names, options, output


@click.command()
@click.argument("name", required=False, shell_complete=names.functions)
@options.since_option
@ended.option
@click.option("--root", "root_id", metavar="INVOCATION_ID", help="Only of the chain that began with this invocation.")
@click.option(
    "--sort",
    type=click.Choice(["ended", "duration", "queue", "init"]),
    default="ended",
    show_default=True,
    help="What comes first: the newest, or what ran, waited or was prepared longest.",
)
@click.option("--slowest", is_flag=True, help="The same as --sort duration.")
@options.limit_option(20, 10_000)
@options.json_option
def records_command(
    *,
    name: str | None,
    since_ms: int | None,
    statuses: tuple[str, ...],
    root_id: str | None,
    sort: str,
    slowest: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the records of attempts of the function NAME (or of all), newest first.

    \b
    faas records
    faas records transcode --since 1h --status failed
    faas records --slowest --limit 5
    """
    api = client.connect()
    found = api.get(
        "/api/v1/invocations", function=name, since_ms=since_ms, status=ended.meant(statuses), root_id=root_id,
        limit=limit, order="duration" if slowest else sort,
    )["records"]  # fmt: skip
    if not found:
        names.require(api, name)
        names.require_invocation(api, root_id)
    if as_json:
        output.emit(found)
        return
    output.table(
        (
            "ENDED",
            layout.Column("FUNCTION", cut=True),
            layout.Column("INVOCATION", is_id=True),
            layout.Column("TRIGGER", drop=3),
            "STATUS",
            layout.Column("COLD", drop=4),
            layout.Column("QUEUE MS", drop=2),
            "DURATION MS",
            layout.Column("BILLED MS", drop=1),
        ),
        [_record(record) for record in found],
    )
    output.say_cut(len(found), limit)


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
