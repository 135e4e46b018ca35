"""`faas budget`: what is spent of budgets, and letting what one stops run on."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, layout, lazy, options, output

_PATH = "/api/v1/budgets"


@click.group(cls=lazy.Group)
def budget_group() -> None:
    """Show budgets, and lift one that stops its function.

    Budgets stand in faas.yaml (`budget:` of a function), and for all functions together in the settings
    (budget_amount), here under the name '*'.

    \b
    faas budget ls
    faas budget lift resize
    """


@budget_group.command("ls")
@options.json_option
def ls_command(*, as_json: bool) -> None:
    """List the budgets, what was spent of each in its day or month (UTC), and which are reached.

    A budget that is `reached` warned, one that is `stopped` refuses calls until its period is over, and `lifted` is
    one that somebody let run on.

    \b
    faas budget ls
    faas budget ls --json | jq '.budgets[] | select(.state == "stopped") | .function'
    """
    found = client.connect().get(_PATH)
    if as_json:
        output.emit(found)
        return
    output.table(
        (
            layout.Column("FUNCTION", cut=True),
            layout.Column("PER", drop=2),
            layout.Column("THEN", drop=3),
            "AMOUNT",
            "SPENT",
            "%",
            "STATE",
            layout.Column("UNTIL", drop=1),
        ),
        [_row(each, found["currency"]) for each in found["budgets"]],
    )


def _row(budget: dict[str, Any], currency: str) -> tuple[Any, ...]:
    share = budget["spent_pico"] * 100 // budget["amount_pico"]
    amounts = [output.money(budget[name], currency) for name in ("amount_pico", "spent_pico")]
    until = output.moment(budget["until_ms"])
    return (budget["function"], budget["per"], budget["then"], *amounts, share, budget["state"], until)


@budget_group.command("lift")
@click.argument("name")
@options.json_option
def lift_command(*, name: str, as_json: bool) -> None:
    """Let the function NAME run on until its period is over; '*' is the budget of all functions together.

    To raise a budget for good, change it in faas.yaml and deploy.

    \b
    faas budget lift resize
    faas budget lift '*'
    """
    lifted = client.connect().send("POST", f"{_PATH}/{client.quote(name)}/lift").value
    if as_json:
        output.emit(lifted)
        return
    output.say(f"{name} runs on for the rest of {' and '.join(lifted['periods'])}")
