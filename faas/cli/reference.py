"""The reference pages that are made from the code: commands, settings, exit codes and the control API.

`python -m faas.cli.reference docs/reference` writes them; a test checks that what is committed is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click
import msgspec

from faas.cli import exits, main
from faas.core import settings as settings_module

_NOTE = "<!-- Made from the code by `python -m faas.cli.reference docs/reference`; do not edit. -->"


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {"cli.md": cli(), "settings.md": settings(), "api.md": api()}


def cli() -> str:
    """The commands, in the order of `faas --help`, and the exit codes."""
    root = click.Context(main.group, info_name="faas")
    parts = ["# Command line", _NOTE, *_overview(root)]
    for name in main.group.list_commands(root):
        command = main.group.get_command(root, name)
        if command is not None:
            parts += _command(command, click.Context(command, info_name=name, parent=root))
    return _joined([*parts, *_exit_codes()])


def _overview(root: click.Context) -> Iterator[str]:
    yield (
        "Data goes to stdout, talk to stderr. `--json` turns tables into JSON, and an error into one JSON object on "
        'stderr: `{"error": {"code", "message", "hint", ...}}`. `NO_COLOR` is honoured. `--data-dir DIR` or '
        "`FAAS_DATA_DIR` chooses the platform, before or after the command's name."
    )
    rows = [(f"[`{name}`](#faas-{name})", main.COMMANDS[name].help) for name in main.group.list_commands(root)]
    yield _table(("command", "what it does"), rows)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## faas {context.info_name}"
    yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield from _paragraphs(command.help or "")
    records = [param.get_help_record(context) for param in command.params if isinstance(param, click.Option)]
    yield _table(("option", "meaning"), [(f"`{record[0]}`", record[1]) for record in records if record])


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help text; those that click must not wrap are examples."""
    for paragraph in text.split("\n\n"):
        is_example = paragraph.startswith("\b\n")
        yield f"```sh\n{paragraph[2:]}\n```" if is_example else " ".join(paragraph.split())


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes"
    yield _table(("code", "name", "meaning"), [(str(row.code), f"`{row.name}`", row.meaning) for row in exits.TABLE])


def settings() -> str:
    """Every setting, its default and its bounds."""
    hints = get_type_hints(settings_module.Settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(settings_module.Settings):
        kind, meta = _annotated(hints[field.name])
        default = msgspec.json.encode(field.default).decode()
        rows.append((f"`{field.name}`", f"`FAAS_{field.name.upper()}`", kind, f"`{default}`", meta))
    intro = (
        "Each setting may stand in `faas.toml` in the data directory and in the environment; the environment wins over "
        "the file, and flags over both."
    )
    names = ("setting", "environment", "type", "default", "meaning")
    return _joined(["# Settings", _NOTE, intro, _table(names, rows)])


def _annotated(hint: Any) -> tuple[str, str]:
    if get_origin(hint) is not Annotated:
        return str(getattr(hint, "__name__", hint)), ""
    kind, meta = get_args(hint)[:2]
    bounds = [f"{sign} {bound}" for sign, bound in (("≥", meta.ge), ("≤", meta.le)) if bound is not None]
    return kind.__name__, f"{meta.description} ({', '.join(bounds)})" if bounds else str(meta.description)


def api() -> str:
    """The routes of the control API."""
    from faas.api import app, openapi

    intro = (
        "Every request but `GET /healthz` needs `Authorization: Bearer TOKEN`; `faas up` writes the token to the file "
        '`token` of the data directory. An error is `{"error": {"code", "message", "hint", ...}}`, and the '
        "header `Faas-Error` says whose fault it was. The whole document is at `/api/v1/openapi.json`."
    )
    rows = [
        (
            f"`{row.method}`",
            f"`{openapi.path(row)}`",
            row.summary,
            ", ".join(str(each.status) for each in row.responses),
        )
        for row in app.TABLE
    ]
    return _joined(["# Control API", _NOTE, intro, _table(("method", "path", "what it does", "answers"), rows)])


def _table(names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    escaped = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [names, ["---"] * len(names), *escaped]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _joined(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"


def write(folder: Path) -> None:
    """Write every page into ``folder``."""
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
