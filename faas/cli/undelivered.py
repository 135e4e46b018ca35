"""`faas undelivered`: records that could not be delivered to their destination."""

from __future__ import annotations

import click

from faas.cli import client, dlq, names, options, output

_PATH = "/api/v1/undelivered"


@click.group()
def undelivered_group() -> None:
    """List, show, retry and drop records that could not be delivered to `on_success` or `on_failure`.

    \b
    faas undelivered ls --function resize
    faas undelivered retry --all
    """


@undelivered_group.command("ls")
@click.option("--function", "name", metavar="NAME", shell_complete=names.functions, help="Only of this function.")
@click.option("--limit", "-n", type=click.IntRange(1, dlq.MOST), default=100, show_default=True, help="How many.")
@options.json_option
def ls_command(*, name: str | None, limit: int, as_json: bool) -> None:
    """List what could not be delivered, newest first, and why."""
    found = client.connect().get(_PATH, function=name, limit=limit)["undelivered"]
    if as_json:
        output.emit(found)
        return
    output.table(
        ("GIVEN UP", "FUNCTION", "INVOCATION", "CONDITION", "DESTINATION", "ATTEMPTS", "REASON"),
        [
            (
                output.moment(each["given_up_at_ms"]),
                *map(each.get, ("function", "invocation_id", "condition", "destination", "attempts", "reason")),
            )
            for each in found
        ],
    )


@undelivered_group.command("show")
@click.argument("invocation_id")
def show_command(*, invocation_id: str) -> None:
    """Print one as JSON, with the event and the result of its invocation."""
    output.emit(client.connect().get(f"{_PATH}/{client.quote(invocation_id)}"))


@undelivered_group.command("retry")
@dlq.chosen
def retry_command(*, invocation_ids: tuple[str, ...], name: str | None, is_all: bool, as_json: bool) -> None:
    """Try to deliver again, from the first attempt on."""
    api = client.connect()
    wanted = invocation_ids or [each["invocation_id"] for each in _listed(api, name, is_all)]
    done = [api.send("POST", f"{_PATH}/{client.quote(each)}/retry").value for each in wanted]
    if as_json:
        output.emit(done)
        return
    output.say(f"sending {len(done)}")


@undelivered_group.command("drop")
@dlq.chosen
def drop_command(*, invocation_ids: tuple[str, ...], name: str | None, is_all: bool, as_json: bool) -> None:
    """Forget them."""
    api = client.connect()
    wanted = invocation_ids or [each["invocation_id"] for each in _listed(api, name, is_all)]
    done = [api.send("DELETE", f"{_PATH}/{client.quote(each)}").value for each in wanted]
    if as_json:
        output.emit(done)
        return
    output.say(f"dropped {len(done)}")


def _listed(api: client.Client, name: str | None, is_all: bool) -> list[dict[str, str]]:
    dlq.require_a_choice(name, is_all)
    found: list[dict[str, str]] = api.get(_PATH, function=name, limit=dlq.MOST)["undelivered"]
    return found
