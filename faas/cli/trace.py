"""`faas trace`: what an event led to, and what all of it took and cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from faas.cli import client, layout, options, output
from faas.core.money import billing

_PATH = "/api/v1/traces"
_BRANCH, _LAST, _LINE, _SPACE = "├─ ", "└─ ", "│  ", "   "


@click.command()
@click.argument("invocation_id", required=False)
@click.option("--slowest", "order", flag_value="slowest", help="List the chains that took longest.")
@click.option("--costliest", "order", flag_value="costliest", help="List the chains that cost most.")
@click.option("--latest", "order", flag_value="latest", help="List the chains that ended last (so without any ID).")
@options.since_option
@options.limit_option(20, 1_000)
@options.json_option
def trace_command(
    *, invocation_id: str | None, order: str | None, since_ms: int | None, limit: int, as_json: bool
) -> None:
    """Show what followed from an event: the tree of invocations that INVOCATION_ID belongs to, what each of them
    waited for, how long it ran and what it cost, and what all of them did.

    Any invocation of the tree may be named, by any beginning of its id that no other has. What waits, runs or is due
    again is shown, too. Without an id chains of more than one invocation are listed.

    \b
    faas trace 019a2f6c-0b1e-7c3a
    faas trace --slowest --since 24h
    faas trace $(faas trace --costliest --json | jq -r '.traces[0].root_id')
    """
    if invocation_id is not None:
        if order is not None or since_ms is not None:
            raise click.UsageError("--slowest, --costliest, --latest and --since list chains: name no invocation")
        _show(client.connect().get(f"{_PATH}/{client.quote(invocation_id)}"), as_json=as_json)
        return
    found = client.connect().get(_PATH, order=order or "latest", since_ms=since_ms, limit=limit)
    if as_json:
        output.emit(found)
    else:
        _list(found, limit)


def _list(found: dict[str, Any], limit: int) -> None:
    output.table(
        (
            layout.Column("BEGAN", drop=3),
            layout.Column("FUNCTION", cut=True),
            layout.Column("ROOT", is_id=True),
            layout.Column("OBJECT", drop=1, cut=True),
            layout.Column("INVOCATIONS"),
            layout.Column("TOOK"),
            layout.Column("COST"),
            layout.Column("STATUS", drop=4),
        ),
        [
            (
                output.moment(each["began_at_ms"]),
                each["function"],
                each["root_id"],
                each["object"],
                each["count"],
                output.duration(each["duration_ms"]),
                output.money(each["cost_pico"], found["currency"]),
                each["status"],
            )
            for each in found["traces"]
        ],
    )
    output.say_cut(len(found["traces"]), limit)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.emit(found)
        return
    output.facts(_facts(found))
    output.line()
    rows = list(_rows(found))
    output.table(
        (
            layout.Column("AT MS"),
            layout.Column("FUNCTION", cut=True),
            layout.Column("INVOCATION", drop=2, is_id=True),
            "STATUS",
            layout.Column("QUEUE MS", drop=3),
            layout.Column("COLD MS", drop=4),
            layout.Column("DURATION MS"),
            layout.Column("COST", drop=5),
            layout.Column("COLD START", drop=1, cut=True),
        ),
        rows,
    )
    for one in found["invocations"]:
        _destination(one)
    if found["is_cut"]:
        output.say("faas: there may be more of it: it is too large, or so much waits that not all was searched")


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    first = found["invocations"][0]
    last_ms = found["ended_at_ms"]
    took = "has not ended" if last_ms is None else output.duration(last_ms - found["began_at_ms"])
    cold = sum(each["cold_start"] != "none" for one in found["invocations"] for each in one["attempts"])
    return [
        ("root", found["root_id"]),
        ("trace id", found["trace_id"]),
        ("began", f"{output.moment(found['began_at_ms'])}, {_why(first)}"),
        ("took", f"{took}; {_count(found['count'], 'invocation')}, {_count(cold, 'cold start')}"),
        ("cost", f"{output.money(found['cost_pico'], found['currency'])} for {found['billed_ms']:,} ms billed"),
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _why(first: dict[str, Any]) -> str:
    return f"by {first['trigger'] or 'an unknown trigger'}{' of ' + first['object'] if first['object'] else ''}"


def _rows(found: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for prefix, below, one in _tree(found["invocations"]):
        name = f"{prefix}{_name(one)}"
        at_ms = None if one["accepted_at_ms"] is None else one["accepted_at_ms"] - found["began_at_ms"]
        for each in one["attempts"]:
            again = f"{below}attempt {each['attempt']}"
            yield _attempt(at_ms, name, one, each) if name else _attempt(None, again, one, each)
            name = ""
        if name or one["state"] not in ("done", "dead"):
            yield at_ms if name else None, name or f"{below}…", one["id"], _state(one), "-", "-", "-", "-", ""


def _name(one: dict[str, Any]) -> str:
    if one["function"] is None:
        return "?"
    return f"{one['function']}@{one['revision']} {one['object'] or one['trigger']}"


def _state(one: dict[str, Any]) -> str:
    if one["due_at_ms"] is not None:
        return f"{one['state']} at {output.moment(one['due_at_ms'])[11:]}"
    return str(one["state"])


def _attempt(at_ms: int | None, name: str, one: dict[str, Any], each: dict[str, Any]) -> tuple[Any, ...]:
    is_dead = one["state"] == "dead" and each is one["attempts"][-1]
    return (
        at_ms,
        name,
        one["id"],
        f"{each['status']}, dead" if is_dead else each["status"],
        each["queue_ms"],
        each["init_ms"] if each["cold_start"] != "none" else None,
        f"{each['duration_us'] / 1000:.2f}",
        billing.aligned(each["cost_pico"]),
        ", ".join(f"{step['name']} {step['ms']}" for step in each["steps"]),
    )


def _tree(invocations: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each invocation after the one that it follows from, with what stands before its name, and before what is below.

    Those of which nobody knows what they follow from come at the end.
    """
    ids = {one["id"] for one in invocations}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for one in invocations:
        children.setdefault(one["parent_id"] if one["parent_id"] in ids else None, []).append(one)
    seen: set[str] = set()
    stack = [("", "", one) for one in reversed(children.get(None, []))]
    while stack:
        prefix, below, one = stack.pop()
        seen.add(one["id"])
        yield prefix, below, one
        of = children.get(one["id"], [])
        stack += [
            (below + (_BRANCH if at else _LAST), below + (_LINE if at else _SPACE), child)
            for at, child in enumerate(reversed(of))
            if child["id"] not in seen
        ]
    # A ring of parents, which no platform makes, hangs on no root.
    yield from (("", "", one) for one in invocations if one["id"] not in seen)


def _destination(one: dict[str, Any]) -> None:
    record = f"the record of {one['function']} {output.short_id(one['id'])}"
    if one["delivering"] is not None:
        output.line()
        output.line(f"{record} waits for its destination (on_{one['delivering']})")
    if (given_up := one["undelivered"]) is not None:
        output.line()
        output.line(f"{record} could not be delivered to")
        output.line(f"{given_up['destination']}: {given_up['reason']}")
