"""Names of functions: the option that takes them, what a shell may complete, and what is said of an unknown one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from faas.cli import client
from faas.core import errors

Command = TypeVar("Command", bound=Callable[..., Any])


def functions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Functions whose name starts so; silence where no platform runs."""
    try:
        with ctx.scope(cleanup=False):  # click completes outside of any context, and `--data-dir` stands in it
            listed = client.connect().get("/api/v1/functions")["functions"]
    except errors.FaasError:
        return []
    return [each["name"] for each in listed if each["name"].startswith(incomplete)]


def functions_option(command: Command) -> Command:
    """The option ``--function``, which adds up: only what is of these."""
    return click.option(
        "--function",
        "functions",
        metavar="NAME",
        multiple=True,
        shell_complete=functions,
        help="Only of this function; several add up.",
    )(command)


def require(api: client.Client, *names: str | None) -> None:
    """Raise `errors.NotFound` for a name that is no function and left neither records nor lines: most likely a typo.

    For commands that ask for what a function left: those whose answer is empty ask this, too.
    """
    for name in filter(None, names):
        try:
            api.get(f"/api/v1/functions/{client.quote(name)}")
        except errors.NotFound:
            if not _has_left_something(api, name):
                raise


def require_invocation(api: client.Client, invocation_id: str | None) -> None:
    """Raise `errors.NotFound` for an id that no invocation has."""
    if invocation_id is not None:
        api.get(f"/api/v1/invocations/{client.quote(invocation_id)}")


def _has_left_something(api: client.Client, name: str) -> bool:
    records = api.get("/api/v1/invocations", function=name, limit=1)["records"]
    return bool(records or api.get("/api/v1/logs", function=name, limit=1)["lines"])
