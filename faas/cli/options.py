"""Options that several commands share, and the settings that they choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from faas.core import clock, durations
from faas.core import settings as settings_module

_DATA_DIR = "data_dir"

Command = TypeVar("Command", bound=Callable[..., Any])


def data_dir_option() -> click.Option:
    """The option ``--data-dir``: which platform a command talks about."""
    return click.Option(
        ["--data-dir"],
        metavar="DIR",
        expose_value=False,
        callback=_remember_data_dir,
        help="Data directory of the platform [env FAAS_DATA_DIR; default ~/.faas].",
    )


def _remember_data_dir(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(dict)[_DATA_DIR] = value


def json_option(command: Command) -> Command:
    """The option ``--json``: data as JSON on stdout, and an error as one JSON object on stderr."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def raw_option(command: Command) -> Command:
    """The option ``--raw``: a terminal gets what functions say as it is, with all that it would obey."""
    help = "Print what functions say as it is, also on a terminal."
    return click.option("--raw", is_flag=True, help=help)(command)


def since_option(command: Command) -> Command:
    """The option ``--since``: an age or a moment, as Unix milliseconds (None when not given)."""
    return click.option(
        "--since",
        "since_ms",
        type=Moment(),
        metavar="TIME",
        callback=_in_order,
        help="Only what is newer: an age (90s, 10m, 24h, 7d) or a moment (2026-01-31, 2026-01-31T12:00:00+01:00).",
    )(command)


def until_option(command: Command) -> Command:
    """The option ``--until``: as ``--since``, for the other end."""
    return click.option(
        "--until",
        "until_ms",
        type=Moment(),
        metavar="TIME",
        callback=_in_order,
        help="Only what is older, written as for --since.",
    )(command)


def _in_order(ctx: click.Context, param: click.Parameter, value: int | None) -> int | None:
    """Refuse a time that nothing lies in. Of the two options the one that is read last knows both."""
    given = {**ctx.params, str(param.name): value}
    since_ms, until_ms = given.get("since_ms"), given.get("until_ms")
    if since_ms is not None and until_ms is not None and until_ms < since_ms:
        raise click.BadParameter("--until is before --since, so nothing lies between", ctx, param)
    return value


def limit_option(default: int, most: int) -> Callable[[Command], Command]:
    """The option ``--limit``: how many at most."""
    return click.option(
        "--limit", "-n", type=click.IntRange(1, most), default=default, show_default=True, help="How many at most."
    )


class Moment(click.ParamType[int]):
    """An age such as ``10m``, or a date or moment in ISO 8601 (local time unless it says otherwise)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Unix milliseconds."""
        if isinstance(value, int):
            return value
        age_ms = durations.age_ms(value)
        return self._moment(value, param, ctx) if age_ms is None else clock.now_ms() - age_ms

    def _moment(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from datetime import datetime

        try:
            return int(datetime.fromisoformat(value).timestamp() * 1000)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write an age (90s, 10m, 7d) or a moment (2026-01-31T12:00)", param, ctx)


def settings(**flags: Any) -> settings_module.Settings:
    """The settings of the platform that this call of the command line is about; ``flags`` win over everything."""
    chosen = click.get_current_context().ensure_object(dict)
    return settings_module.load(flags={_DATA_DIR: chosen.get(_DATA_DIR), **flags})
