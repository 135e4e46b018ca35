"""`faas undelivered`: records that could not be delivered to their destination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from faas.cli import asking, client, dlq, layout, lazy, names, options, output, showing

_PATH = "/api/v1/undelivered"


@click.group(cls=lazy.Group)
def undelivered_group() -> None:
    """List, show, retry and drop records that could not be delivered to `on_success` or `on_failure`.

    An id may be shortened to any beginning that no other undelivered record has.

    \b
    faas undelivered ls --function resize
    faas undelivered retry --all
    """


@undelivered_group.command("ls")
@names.functions_option
@options.limit_option(100, dlq.MOST)
@options.json_option
def ls_command(*, functions: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List what could not be delivered, newest first, and why."""
    api = client.connect()
    found = dlq.listed(api, _PATH, "undelivered", functions, limit, "given_up_at_ms")
    if as_json:
        output.emit(found)
        return
    output.table(
        (
            layout.Column("GIVEN UP", drop=3),
            layout.Column("FUNCTION", cut=True),
            layout.Column("INVOCATION", is_id=True),
            layout.Column("CONDITION", drop=1),
            layout.Column("DESTINATION", drop=4, cut=True),
            layout.Column("ATTEMPTS", drop=2),
            layout.Column("REASON", cut=True),
        ),
        [
            (
                output.moment(each["given_up_at_ms"]),
                *map(each.get, ("function", "invocation_id", "condition", "destination", "attempts", "reason")),
            )
            for each in found
        ],
    )
    output.say_cut(len(found), limit)


@undelivered_group.command("show")
@click.argument("invocation_id")
@options.json_option
def show_command(*, invocation_id: str, as_json: bool) -> None:
    """Show one: where it was to go and why it did not, the event and the result of its invocation."""
    found = client.connect().get(f"{_PATH}/{client.quote(invocation_id)}")
    if as_json:
        output.emit(found)
        return
    facts = [("invocation", found["invocation_id"]), *showing.origin(found), ("condition", found["condition"])]
    facts += [("destination", found["destination"]), ("attempts", str(found["attempts"])), ("reason", found["reason"])]
    output.facts([*facts, ("given up", output.moment(found["given_up_at_ms"]))])
    showing.document("event", found["event"])
    showing.document("result", found["result"])


@undelivered_group.command("retry")
@dlq.chosen
def retry_command(*, invocation_ids: tuple[str, ...], functions: tuple[str, ...], is_all: bool, as_json: bool) -> None:
    """Try to deliver again, from the first attempt on."""
    api = client.connect()
    wanted = invocation_ids or [each["invocation_id"] for each in _kept(api, functions, is_all)]
    done = [api.send("POST", f"{_PATH}/{client.quote(each)}/retry").value for each in wanted]
    if as_json:
        output.emit(done)
        return
    output.say(f"sending {len(done)}")


@undelivered_group.command("drop")
@dlq.chosen
@asking.yes_option
def drop_command(
    *, invocation_ids: tuple[str, ...], functions: tuple[str, ...], is_all: bool, agrees: bool, as_json: bool
) -> None:
    """Forget them. It asks first."""
    api = client.connect()
    wanted = [] if invocation_ids else _kept(api, functions, is_all)
    dlq.drop(api, _PATH, "undelivered record", invocation_ids, wanted, agrees=agrees, as_json=as_json)


def _kept(api: client.Client, functions: Sequence[str], is_all: bool) -> list[dict[str, Any]]:
    dlq.require_a_choice(functions, is_all)
    return dlq.listed(api, _PATH, "undelivered", functions, dlq.MOST, "given_up_at_ms")
