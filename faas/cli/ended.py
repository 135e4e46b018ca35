"""The option `--status`: of attempts that ended in some way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from faas.core import model

_ALL = tuple(str(status) for status in model.Status)
_FAILED = "failed"

Command = TypeVar("Command", bound=Callable[..., Any])


def option(command: Command) -> Command:
    """``--status``, as often as wanted: the argument ``statuses``."""
    return click.option(
        "--status",
        "statuses",
        type=click.Choice([*_ALL, _FAILED]),
        multiple=True,
        help="Only of attempts that ended so; several add up, and failed is all but ok.",
    )(command)


def meant(given: Sequence[str]) -> list[str]:
    """The statuses that are asked for, as the control API knows them."""
    failed = [status for status in _ALL if status != model.Status.OK] if _FAILED in given else []
    return sorted({*failed, *given} - {_FAILED})
