"""`faas dlq`: the dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from faas.cli import asking, client, layout, lazy, names, options, output, showing
from faas.core import errors

_PATH = "/api/v1/dead-letters"
MOST = 10_000


@click.group(cls=lazy.Group)
def dlq_group() -> None:
    """List, show, retry and drop dead letters: async invocations that failed for good, with their events.

    An id may be shortened to any beginning that no other dead letter has.

    \b
    faas dlq ls --function resize
    faas dlq retry --all
    """


@dlq_group.command("ls")
@names.functions_option
@options.limit_option(100, MOST)
@options.json_option
def ls_command(*, functions: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List dead letters, newest first."""
    api = client.connect()
    found = listed(api, _PATH, "dead_letters", functions, limit, "died_at_ms")
    if as_json:
        output.emit(found)
        return
    output.table(
        (
            layout.Column("DIED", drop=3),
            layout.Column("FUNCTION", cut=True),
            layout.Column("INVOCATION", is_id=True),
            layout.Column("STATUS", drop=4),
            layout.Column("ATTEMPTS", drop=1),
            layout.Column("ERROR", cut=True),
            layout.Column("RETRIED AS", drop=2, is_id=True),
        ),
        [_row(each) for each in found],
    )
    output.say_cut(len(found), limit)


def listed(
    api: client.Client, path: str, what: str, functions: Sequence[str], limit: int, order: str
) -> list[dict[str, Any]]:
    """What is kept of these functions (of all, when none is named), newest first. Raises `errors.NotFound` for those.

    That a function exists is asked only where nothing was found: one that was removed may have left something.
    """
    asked = dict.fromkeys(functions) or (None,)
    found = [each for name in asked for each in api.get(path, function=name, limit=limit)[what]]
    if not found:
        names.require(api, *functions)
    return sorted(found, key=lambda each: each[order], reverse=True)[:limit]


def _row(letter: dict[str, Any]) -> tuple[Any, ...]:
    return (
        output.moment(letter["died_at_ms"]),
        letter["function"],
        letter["invocation_id"],
        letter["status"],
        letter["attempts"],
        showing.said(letter),
        letter["retried_as"],
    )


@dlq_group.command("show")
@click.argument("invocation_id")
@options.json_option
def show_command(*, invocation_id: str, as_json: bool) -> None:
    """Show one dead letter: what ran, its error, the attempts and the event.

    \b
    faas dlq show 019a2f6c-0b1e-7c3a-9d52-3f1f6f0f8d11
    faas dlq show 019a2f6c-0b1e-7c3a --json | jq .event
    """
    found = client.connect().get(f"{_PATH}/{client.quote(invocation_id)}")
    if as_json:
        output.emit(found)
        return
    last = found["records"][-1] if found["records"] else {}
    facts = [("invocation", found["invocation_id"]), *showing.origin({**last, **found})]
    facts += [("status", found["status"]), ("attempts", str(found["attempts"]))]
    facts += [("died", output.moment(found["died_at_ms"]))]
    facts += [("retried as", found["retried_as"])] if found["retried_as"] else []
    output.facts(facts)
    showing.attempts(found["records"])
    showing.error(found["error"])
    showing.document("event", found["event"])


def chosen(command: Any) -> Any:
    """Which of what is kept: by id, by function, or all."""
    for option in (
        click.argument("invocation_ids", nargs=-1, metavar="[INVOCATION_ID...]"),
        names.functions_option,
        click.option("--all", "is_all", is_flag=True, help="All there are."),
        options.json_option,
    ):
        command = option(command)
    return command


@dlq_group.command("retry")
@chosen
def retry_command(*, invocation_ids: tuple[str, ...], functions: tuple[str, ...], is_all: bool, as_json: bool) -> None:
    """Send events again, each as one new invocation however often it is asked for.

    Those chosen by --function or --all that were sent again before are left alone.
    """
    api = client.connect()
    wanted = invocation_ids or [
        each["invocation_id"] for each in _kept(api, functions, is_all) if not each["retried_as"]
    ]
    done = [api.send("POST", f"{_PATH}/{client.quote(each)}/retry").value for each in wanted]
    if as_json:
        output.emit(done)
        return
    for each in done:
        output.say(f"{each['invocation_id']} runs again as {each['retried_as']}")
    if not done:
        output.say("there is none to send again")


@dlq_group.command("drop")
@chosen
@asking.yes_option
def drop_command(
    *, invocation_ids: tuple[str, ...], functions: tuple[str, ...], is_all: bool, agrees: bool, as_json: bool
) -> None:
    """Forget dead letters, with their events. It asks first. Their records and logs stay."""
    api = client.connect()
    wanted = [] if invocation_ids else _kept(api, functions, is_all)
    drop(api, _PATH, "dead letter", invocation_ids, wanted, agrees=agrees, as_json=as_json)


def drop(
    api: client.Client,
    path: str,
    thing: str,
    invocation_ids: Sequence[str],
    wanted: Sequence[dict[str, Any]],
    *,
    agrees: bool,
    as_json: bool,
) -> None:
    """Forget those with these ids, or those that were found, once that is agreed to."""
    found = [api.get(f"{path}/{client.quote(each)}") for each in invocation_ids] or list(wanted)
    if found:
        asking.sure(_counted(found, thing), agrees=agrees, verb="forget")
    done = [api.send("DELETE", f"{path}/{client.quote(each['invocation_id'])}").value for each in found]
    if as_json:
        output.emit(done)
        return
    output.say(f"dropped {len(done)}")


def _counted(found: Sequence[dict[str, Any]], thing: str) -> str:
    """``5 dead letters of 2 functions (resize: 3, mail: 2)``."""
    by_function = Counter(each["function"] for each in found)
    each = ", ".join(f"{name}: {count}" for name, count in by_function.most_common(5))
    more = f" and {len(by_function) - 5} more" if len(by_function) > 5 else ""
    if len(by_function) == 1:
        return f"{asking.counted(len(found), thing)} of {found[0]['function']}"
    return f"{asking.counted(len(found), thing)} of {asking.counted(len(by_function), 'function')} ({each}{more})"


def require_a_choice(functions: Sequence[str], is_all: bool) -> None:
    """Refuse to touch all dead letters unless somebody says so. Raises `errors.BadRequest`."""
    if not functions and not is_all:
        raise errors.BadRequest("which ones?", hint="name them, or use --function NAME or --all")


def _kept(api: client.Client, functions: Sequence[str], is_all: bool) -> list[dict[str, Any]]:
    require_a_choice(functions, is_all)
    return listed(api, _PATH, "dead_letters", functions, MOST, "died_at_ms")
