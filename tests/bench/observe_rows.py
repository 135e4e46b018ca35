"""What is looked at: commands, and what each page of the browser asks of the control API, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tests.bench import observe_on

_FN = "fn-00000"
_MONTH_MS = 30 * 86_400_000


class Row(NamedTuple):
    """One thing that is looked at. ``look`` is timed from its call to its return."""

    name: str
    look: Callable[[observe_on.On], object]


def _command(*words: str) -> Row:
    return Row(" ".join(("faas", *words)), lambda on: on.command(*words))


def _page(name: str, *paths: str) -> Row:
    return Row(f"page: {name}", lambda on: on.get(*paths))


def _month_ago() -> int:
    return time.time_ns() // 1_000_000 - _MONTH_MS


def _function_page(on: observe_on.On) -> object:
    since = time.time_ns() // 1_000_000 - 7 * 86_400_000
    return on.get(
        f"functions/{_FN}",
        f"stats?function={_FN}&since={since}&every=2h&by=all",
        f"invocations?function={_FN}&limit=50",
        f"logs?function={_FN}&tail=300",
    )


def _invocation_page(on: observe_on.On) -> object:
    id = on.get(f"invocations?function={_FN}&limit=1")[0]["records"][0]["invocation_id"]
    return on.get(f"invocations/{id}", f"traces/{id}", f"logs?invocation={id}&tail=300")


ROWS = (
    _command("stats", "--since", "30d"),
    _command("stats", "--slowest", "--since", "30d"),
    _command("stats", "--slowest", "--since", "7d"),
    _command("stats", _FN, "--since", "30d", "--every", "1h"),
    _command("stats", "--since", "24h", "--by", "all", "--every", "1m"),
    _command("ls"),
    _command("bill", "--since", "30d"),
    _command("kept", "ls"),
    Row(
        "faas logs --since 24h --grep TEXT, of one line",
        lambda on: on.command("logs", "--since", "24h", "--grep", on.rare_text),
    ),
    _command("logs", "--since", "24h", "--level", "error"),
    _command("logs", "--since", "24h", "--where", "size>99999"),
    _command("trace", "--slowest", "--since", "30d"),
    Row("faas trace ID, of 500 invocations", lambda on: on.command("trace", on.long_chain)),
    _page("functions by name, an hour", "overview?since=1h&sort=name&limit=50"),
    _page("functions by p99, a day", "overview?since=24h&sort=p99&desc=true&limit=50"),
    _page("functions by p99, 30 days", "overview?since=30d&sort=p99&desc=true&limit=50"),
    _page("functions by cost, 30 days", "overview?since=30d&sort=cost&desc=true&limit=50"),
    Row("page: a function, a week", _function_page),
    Row("page: an invocation", _invocation_page),
    _page("invocations that failed", "invocations?limit=100&status=error"),
    Row(
        "page: chains, the slowest of 30 days",
        lambda on: on.get(f"traces?order=slowest&since_ms={_month_ago()}&limit=100"),
    ),
    _page("logs", "logs?tail=300"),
    Row("page: buckets", lambda on: on.buckets()),
    _page("queues and dead letters", "status", "dead-letters?limit=200", "undelivered?limit=200"),
    Row("page: bill of 30 days", lambda on: on.get(f"bill?by=function&since_ms={_month_ago()}", "budgets")),
    _page("alarms", "alarms"),
    _page("what is kept", "kept", "status"),
    _page("nodes and health", "status", "health"),
    Row("GET stats by status of 30 days", lambda on: on.get("stats?since=30d&every=1d&by=status")),
)
"""What is timed; whatever else is looked at adds its row."""
