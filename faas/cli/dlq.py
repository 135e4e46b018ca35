"""`faas dlq`: the dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from faas.cli import client, names, options, output
from faas.core import errors

_PATH = "/api/v1/dead-letters"
MOST = 10_000


@click.group()
def dlq_group() -> None:
    """List, show, retry and drop dead letters: async invocations that failed for good, with their events.

    \b
    faas dlq ls --function resize
    faas dlq retry --all
    """


@dlq_group.command("ls")
@click.option("--function", "name", metavar="NAME", shell_complete=names.functions, help="Only of this function.")
@click.option("--limit", "-n", type=click.IntRange(1, MOST), default=100, show_default=True, help="How many.")
@options.json_option
def ls_command(*, name: str | None, limit: int, as_json: bool) -> None:
    """List dead letters, newest first."""
    found = client.connect().get(_PATH, function=name, limit=limit)["dead_letters"]
    if as_json:
        output.emit(found)
        return
    output.table(
        ("DIED", "FUNCTION", "INVOCATION", "STATUS", "ATTEMPTS", "ERROR", "RETRIED AS"),
        [_row(each) for each in found],
    )


def _row(letter: dict[str, Any]) -> tuple[Any, ...]:
    error = letter["error"]
    return (
        output.moment(letter["died_at_ms"]),
        letter["function"],
        letter["invocation_id"],
        letter["status"],
        letter["attempts"],
        f"{error['type']}: {error['message']}" if error else None,
        letter["retried_as"],
    )


@dlq_group.command("show")
@click.argument("invocation_id")
def show_command(*, invocation_id: str) -> None:
    """Print one dead letter as JSON: its event, its error and the records of its attempts."""
    output.emit(client.connect().get(f"{_PATH}/{client.quote(invocation_id)}"))


def chosen(command: Any) -> Any:
    """Which of what is kept: by id, by function, or all."""
    for option in (
        click.argument("invocation_ids", nargs=-1, metavar="[INVOCATION_ID...]"),
        click.option(
            "--function", "name", metavar="NAME", shell_complete=names.functions, help="All of this function."
        ),
        click.option("--all", "is_all", is_flag=True, help="All there are."),
        options.json_option,
    ):
        command = option(command)
    return command


@dlq_group.command("retry")
@chosen
def retry_command(*, invocation_ids: tuple[str, ...], name: str | None, is_all: bool, as_json: bool) -> None:
    """Send events again, each as one new invocation however often it is asked for.

    Those chosen by --function or --all that were sent again before are left alone.
    """
    api = client.connect()
    chosen = invocation_ids or _listed(api, name, is_all, fresh=True)
    done = [api.send("POST", f"{_PATH}/{client.quote(each)}/retry").value for each in chosen]
    if as_json:
        output.emit(done)
        return
    for each in done:
        output.say(f"{each['invocation_id']} runs again as {each['retried_as']}")


@dlq_group.command("drop")
@chosen
def drop_command(*, invocation_ids: tuple[str, ...], name: str | None, is_all: bool, as_json: bool) -> None:
    """Forget dead letters. Their records and logs stay."""
    api = client.connect()
    chosen = invocation_ids or _listed(api, name, is_all, fresh=False)
    done = [api.send("DELETE", f"{_PATH}/{client.quote(each)}").value for each in chosen]
    if as_json:
        output.emit(done)
        return
    output.say(f"dropped {len(done)}")


def require_a_choice(name: str | None, is_all: bool) -> None:
    """Nothing is done to all of them unless somebody says so. Raises `errors.BadRequest`."""
    if name is None and not is_all:
        raise errors.BadRequest("which ones?", hint="name them, or use --function NAME or --all")


def _listed(api: client.Client, name: str | None, is_all: bool, *, fresh: bool) -> Sequence[str]:
    require_a_choice(name, is_all)
    found = api.get(_PATH, function=name, limit=MOST)["dead_letters"]
    return [each["invocation_id"] for each in found if not (fresh and each["retried_as"])]
