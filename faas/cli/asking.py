"""Asking before something goes that cannot be brought back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from faas.cli import output
from faas.core import errors

Command = TypeVar("Command", bound=Callable[..., Any])


def yes_option(command: Command) -> Command:
    """The option ``--yes`` of what asks."""
    return click.option("--yes", "-y", "agrees", is_flag=True, help="Do it unasked.")(command)


def sure(what: str, *, agrees: bool, verb: str = "remove") -> None:
    """Go on when ``what`` may go: ``agrees`` says so, or the person at the terminal.

    Raises `errors.Conflict` when nobody is there to be asked, and when the answer is no.
    """
    if agrees:
        return
    if not sys.stdin.isatty():
        raise errors.Conflict(f"this would {verb} {what}, and nobody is here to be asked", hint="--yes does it unasked")
    output.say(f"This will {verb} {what}.")
    if not click.confirm("Go on?", err=True):
        raise errors.Conflict(f"nothing was done: {what} stays")


def counted(count: int, thing: str, things: str = "") -> str:
    """``1 dead letter``, ``5 dead letters``."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"
