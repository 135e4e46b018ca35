"""`faas invocations`: what became of them, and taking them back."""

from __future__ import annotations

from typing import Any

import click

from faas.cli import client, layout, lazy, names, options, output, showing

_PATH = "/api/v1/invocations"


@click.group(cls=lazy.Group)
def invocations_group() -> None:
    """List, show, cancel and retry invocations. An id may be shortened to any beginning that no other has.

    \b
    faas invocations ls --function resize --limit 50 --json
    faas invocations show 019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d11
    """


@invocations_group.command("ls")
@names.functions_option
@options.limit_option(20, 1_000)
@options.json_option
def ls_command(*, functions: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List invocations, newest first, with their status and the attempts that have begun.

    \b
    faas invocations ls
    faas invocations ls --function resize --limit 50 --json
    """
    api = client.connect()
    chosen = functions or [each["name"] for each in api.get("/api/v1/functions")["functions"]]
    found = [line for each in dict.fromkeys(chosen) for line in _listed(api, each, limit)]
    newest = sorted(found, key=lambda line: line["invocation_id"], reverse=True)[:limit]
    if not newest:
        names.require(api, *functions)
    if as_json:
        output.emit(newest)
        return
    output.table(
        (
            layout.Column("ACCEPTED", drop=2),
            layout.Column("FUNCTION", cut=True),
            layout.Column("INVOCATION", is_id=True),
            "STATUS",
            layout.Column("ATTEMPTS", drop=1),
        ),
        [
            (
                output.moment(each["accepted_at_ms"]),
                each["function"],
                *map(each.get, ("invocation_id", "status", "attempts")),
            )
            for each in newest
        ],
    )
    output.say_cut(len(newest), limit)


def _listed(api: client.Client, name: str, limit: int) -> list[dict[str, Any]]:
    found = api.get(f"/api/v1/functions/{client.quote(name)}/invocations", limit=limit)["invocations"]
    return [{"function": name, **line} for line in found]


@invocations_group.command("show")
@click.argument("invocation_id")
@options.json_option
def show_command(*, invocation_id: str, as_json: bool) -> None:
    """Show what an invocation runs and what for, where it is, its attempts, and its result while that is kept.

    \b
    faas invocations show 019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d11
    faas invocations show 019a2f6c-0b1e-7c3a       # any beginning that no other has
    """
    found = client.connect().get(f"{_PATH}/{client.quote(invocation_id)}")
    if as_json:
        output.emit(found)
        return
    output.facts(_facts(found))
    showing.attempts(found["records"])
    if found["records"]:
        showing.error(found["records"][-1]["error"])
    if found["result_kept"]:
        showing.result(found)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("invocation", found["invocation_id"]), *showing.origin(found)]
    facts += [("status", found["status"]), ("attempts", str(found["attempts"]))]
    if found["node"]:
        facts.append(("running", f"on {found['node']} since {output.moment(found['running_since_ms'])}"))
    if found["due_at_ms"] is not None:
        facts.append(("due", output.moment(found["due_at_ms"])))
    if found["why"]:
        facts.append(("why", found["why"]))
    return facts


@invocations_group.command("cancel")
@click.argument("invocation_ids", nargs=-1, required=True, metavar="INVOCATION_ID...")
@options.json_option
def cancel_command(*, invocation_ids: tuple[str, ...], as_json: bool) -> None:
    """Take back async invocations that wait or are due later. One that is running ends by itself (exit code 5)."""
    _move(invocation_ids, "cancel", as_json)


@invocations_group.command("retry")
@click.argument("invocation_ids", nargs=-1, required=True, metavar="INVOCATION_ID...")
@options.json_option
def retry_command(*, invocation_ids: tuple[str, ...], as_json: bool) -> None:
    """Let invocations that are due later run now."""
    _move(invocation_ids, "retry", as_json)


def _move(invocation_ids: tuple[str, ...], how: str, as_json: bool) -> None:
    api = client.connect()
    moved = [api.send("POST", f"{_PATH}/{client.quote(each)}/{how}").value for each in invocation_ids]
    if as_json:
        output.emit(moved)
        return
    for each in moved:
        output.say(f"{each['invocation_id']} is {each['status']}")
