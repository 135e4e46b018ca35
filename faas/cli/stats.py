"""`faas stats`: how many, how fast and at what cost, also over time."""

from __future__ import annotations

import sys
from typing import Any

import click

from faas.cli import client, given, layout, names, options, output, sparks
from faas.core import clock, moments

_DAY_MS = 86_400_000
_RANKS = ("p50", "p90", "p99", "p999")
_OVER_TIME_LIMIT = 20


@click.command()
@click.argument("name", required=False, shell_complete=names.functions)
@options.since_option
@options.until_option
@click.option("--every", metavar="TIME", help="Also over time, in pieces of this length: 5m, 1h, 1d.")
@click.option(
    "--by",
    type=click.Choice(["function", "revision", "trigger", "status", "cold-start", "all"]),
    default="function",
    show_default=True,
    help="What is added up.",
)
@click.option(
    "--sort",
    type=click.Choice(["name", "calls", "errors", "cold", "cost", "p50", "p90", "p95", "p99", "p999"]),
    default="name",
    show_default=True,
    help="What comes first: names by the alphabet, or the most of a figure.",
)
@click.option("--slowest", is_flag=True, help="The same as --sort p99.")
@options.limit_option(100, 10_000)
@options.json_option
def stats_command(
    *,
    name: str | None,
    since_ms: int | None,
    until_ms: int | None,
    every: str | None,
    by: str,
    sort: str,
    slowest: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show calls, errors, durations and cold starts of the function NAME (or of all), by default of the last day.

    A time begins and ends on whole minutes; from two days on on whole hours, from four weeks on on whole days (UTC).
    Counts and costs are exact, durations within 1%. Durations are those of attempts that ran.

    \b
    faas stats
    faas stats hello --since 10m
    faas stats hello --since 30d --every 1d
    faas stats hello --by revision
    faas stats --slowest --limit 5
    """
    api = client.connect()
    # A hundred functions over a month would be thousands of rows.
    if every is not None and given.is_default("limit") and name is None:
        limit = _OVER_TIME_LIMIT
    wants_sparks = every is None and not as_json and sys.stdout.isatty()
    answer = api.get(
        "/api/v1/stats", function=name, since_ms=since_ms, until_ms=until_ms, by=by.replace("-", "_"), limit=limit,
        sort="p99" if slowest else sort, every=_spark_every(since_ms, until_ms) if wants_sparks else every,
        quantiles="false" if wants_sparks else None,
    )  # fmt: skip
    if not answer["functions"]:
        names.require(api, name)
    if as_json:
        output.emit(answer if every is not None else answer["functions"])
    elif every is None:
        _summary(answer, by)
    else:
        _over_time(answer, by)
    _say(answer, every)


def _spark_every(since_ms: int | None, until_ms: int | None) -> str:
    now_ms = clock.now_ms()
    return str(sparks.every_ms(now_ms - _DAY_MS if since_ms is None else since_ms, until_ms or now_ms))


def _summary(answer: dict[str, Any], by: str) -> None:
    drawn = _sparks(answer) if answer["series"] else {}
    columns: list[str | layout.Column] = [
        layout.Column(by.replace("-", " ").upper(), cut=True),
        "CALLS",
        "ERRORS",
        layout.Column("COLD", drop=7),
        layout.Column("P50 MS", drop=8),
        layout.Column("P90 MS", drop=3),
        "P99 MS",
        layout.Column("P99.9 MS", drop=4),
        layout.Column("QUEUE P99 MS", drop=2),
        layout.Column("INIT P99 MS", drop=1),
    ]
    rows = [_stats(each) for each in answer["functions"]]
    if drawn:
        columns.append(layout.Column("CALLS OVER TIME", drop=5))
        rows = [(*row, drawn.get(row[0], "")) for row in rows]
    output.table(columns, rows)


def _stats(stats: dict[str, Any]) -> tuple[Any, ...]:
    durations = [f"{stats['duration_ms'][rank]:.2f}" for rank in _RANKS]
    waits = [f"{stats[what]['p99']:.0f}" for what in ("queue_ms", "init_ms")]
    return (stats["name"], stats["count"], stats["errors"], stats["cold_starts"], *durations, *waits)


def _sparks(answer: dict[str, Any]) -> dict[str, str]:
    """The line of each name; all of them begin and end at the same moments."""
    times = (answer["since_ms"], answer["until_ms"], answer["every_ms"])
    return {
        each["name"]: sparks.line(
            sparks.values({point["at_ms"]: point["count"] for point in each["points"]}, *times), sys.stdout.encoding
        )
        for each in answer["series"]
    }


def _over_time(answer: dict[str, Any], by: str) -> None:
    """One row for each piece of time in which something ended."""
    several = len(answer["series"]) > 1
    order = {each["name"]: at for at, each in enumerate(answer["functions"])}
    if sys.stdout.isatty() and not several:
        for each in answer["series"]:
            output.line(f"{_sparks(answer)[each['name']]}  calls of {each['name']}")
    output.table(
        (
            *([layout.Column(by.replace("-", " ").upper(), cut=True)] if several else []),
            "FROM",
            "CALLS",
            "ERRORS",
            layout.Column("COLD", drop=4),
            layout.Column("P50 MS", drop=5),
            layout.Column("P90 MS", drop=2),
            "P99 MS",
            layout.Column("P99.9 MS", drop=3),
            layout.Column("QUEUE P99 MS", drop=1),
        ),
        [
            (*([each["name"]] if several else []), *_point(point))
            for each in sorted(answer["series"], key=lambda each: order.get(each["name"], len(order)))
            for point in each["points"]
        ],
    )


def _point(point: dict[str, Any]) -> tuple[Any, ...]:
    durations = [f"{point['duration_us'][rank] / 1000:.2f}" for rank in _RANKS]
    counts = (point["count"], point["errors"], point["cold_starts"])
    return (output.moment(point["at_ms"]), *counts, *durations, point["queue_ms"]["p99"])


def _say(answer: dict[str, Any], every: str | None) -> None:
    """What else there is to know, on stderr."""
    if answer["total"] > len(answer["functions"]):
        output.say(f"faas: {len(answer['functions']):,} of {answer['total']:,} are shown; --limit shows more")
    if every is not None and answer["every_ms"] > moments.span_ms(every):
        output.say(f"faas: shown every {output.duration(answer['every_ms'])}: shorter figures of then are kept no more")
    if answer["is_filling"]:
        output.say("faas: records of before the upgrade are still being added up; figures of then are not whole yet")
