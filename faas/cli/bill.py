"""`faas bill`: what everything cost, as a table, JSON, CSV or a page to print."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, layout, options, output, statement

_BY = ("function", "day", "trigger", "tag", "root")
_FIGURES = {"cost": "cost_pico", "billed": "billed_ms", "attempts": "count"}


@click.command()
@options.since_option
@options.until_option
@click.option("--by", type=click.Choice(_BY), default="function", show_default=True)
@click.option("--tag", metavar="KEY", help="With --by tag: by the values of this tag, and not by all tags together.")
@click.option(
    "--sort",
    type=click.Choice(["name", *_FIGURES]),
    default="name",
    show_default=True,
    help="What comes first: names by the alphabet, or the most of a figure.",
)
@click.option(
    "--as",
    "prices",
    type=click.Choice(["aws-lambda", "alibaba-fc"]),
    help="Also what the same work would have cost there, by list prices.",
)
@options.limit_option(100, 1_000)
@click.option("--csv", "form", flag_value="csv", help="Print CSV: whole numbers, a line for each line, no total.")
@click.option("--html", "form", flag_value="html", help="Print a statement as one HTML page, ready to be printed.")
@options.json_option
def bill_command(
    *,
    since_ms: int | None,
    until_ms: int | None,
    by: str,
    tag: str | None,
    sort: str,
    prices: str | None,
    limit: int,
    form: str | None,
    as_json: bool,
) -> None:
    """Add up billed milliseconds and cost. Whole days are counted (UTC), from the one that holds --since to the last
    before --until.

    By root a line is what one event cost with all that followed from it (an uploaded photo, say): the newest --limit,
    to the millisecond, as long as their records are kept. With --json and --csv a cost is exact: cost_pico are whole
    millionths of a millionth of the currency, and cost_decimal is the same in the currency itself, as text.

    \b
    faas bill
    faas bill --since 2026-11-01T00:00Z --until 2026-12-01T00:00Z --by tag --tag team
    faas bill --as aws-lambda
    faas bill --by root --since 1h --sort cost
    faas bill --since 30d --html > statement.html
    """
    if form is not None and as_json:
        raise click.UsageError("--json goes with neither --csv nor --html")
    if tag is not None and by != "tag":
        raise click.UsageError("--tag goes with --by tag")
    api = client.connect()
    found = api.get(
        "/api/v1/bill",
        **{"since_ms": since_ms, "until_ms": until_ms, "by": by, "tag": tag, "as": prices, "limit": limit},
    )
    _sort(found, sort)
    if as_json:
        output.emit(found)
    elif form == "csv":
        output.line(statement.csv(found).rstrip("\n"))
    elif form == "html":
        output.line(statement.html(found))
    else:
        _show(api, found)


def _sort(found: dict[str, Any], sort: str) -> None:
    if sort in _FIGURES:
        found["lines"].sort(key=lambda line: -line[_FIGURES[sort]])


def _show(api: client.Client, found: dict[str, Any]) -> None:
    compared = found["compared"]
    output.table(
        (
            *_named(found["by"], found["tag"]),
            "ATTEMPTS",
            layout.Column("BILLED MS", drop=3),
            layout.Column("GB S", drop=2),
            layout.Column("CPU S", drop=1),
            "COST",
            *(() if compared is None else (compared["title"].upper(),)),
        ),
        [(*statement.names(found, line), *_figures(found, line)) for line in found["lines"]],
        total=("total", *[""] * (found["by"] == "root"), *_figures(found, found["total"])),
    )
    if found["by"] == "root" and found["next"]:
        output.say(f"faas: the newest {len(found['lines'])} are shown and added up; --limit shows more")
    if compared is not None:
        _explain(compared)
    _say_budgets(api.get("/api/v1/budgets")["budgets"])


def _say_budgets(states: list[dict[str, Any]]) -> None:
    for one in states:
        whose = "all functions" if one["function"] == "*" else one["function"]
        of = f"{one['spent_decimal']} of {one['amount_decimal']} a {one['per']}"
        if one["state"] != "under":
            output.say(f"faas: budget of {whose}: {of}, {one['state']}")


def _named(by: str, tag: str | None) -> tuple[layout.Column, ...]:
    if by == "root":
        return layout.Column("ROOT", is_id=True), layout.Column("OF", cut=True)
    return (layout.Column((tag or by).upper(), cut=True),)


def _figures(found: dict[str, Any], amount: dict[str, Any]) -> tuple[Any, ...]:
    compared = found["compared"]
    there = () if compared is None else (output.money(amount["there_pico"], compared["currency"]),)
    return (
        amount["count"],
        amount["billed_ms"],
        f"{amount['mb_ms'] / 1_024_000:,.3f}",
        f"{amount['cpu_us'] / 1_000_000:,.3f}",
        output.money(amount["cost_pico"], found["currency"]),
        *there,
    )


def _explain(compared: dict[str, Any]) -> None:
    """What the other prices are and are not."""
    output.line()
    for text in statement.explained(compared):
        output.facts([("", text)], indent=0)
