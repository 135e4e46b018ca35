"""The commands, in the order of `faas --help`, and the exit codes."""

from __future__ import annotations

from collections.abc import Iterator

import click

from faas.cli import exits, main
from faas.cli.reference import markdown

_INTRO = (
    "The command is `.venv/bin/faas` after `make setup`. Data goes to stdout, talk to stderr. `--json` turns tables "
    'into JSON, and an error into one JSON object on stderr: `{"error": {"code", "message", "hint", ...}}`. `NO_COLOR` '
    "is honoured. `--data-dir DIR` or `FAAS_DATA_DIR` chooses the platform, before or after the command's name; every "
    "command has this option."
)
_PROCESSES = (
    "`faas up` and `make setup` run these for you. The processes of a platform can also be started one by one: what "
    "they share is Redis, the database and the data directory."
)


def page() -> str:
    """The whole page."""
    root = click.Context(main.group, info_name="faas")
    names = main.group.list_commands(root)
    parts = [_INTRO, markdown.table(("command", "what it does"), [(_link(name), _help(name)) for name in names])]
    for name in names:
        parts += _command(root, name)
    return markdown.page("Command line", [*parts, *_processes(), *_exit_codes()])


def _link(name: str) -> str:
    return f"[`{name}`](#faas-{name})"


def _help(name: str) -> str:
    return main.COMMANDS[name].help


def _command(root: click.Context, name: str) -> Iterator[str]:
    command = main.group.get_command(root, name)
    if command is None:
        raise LookupError(name)
    yield from _described(root, command, name, "##")
    if isinstance(command, click.Group):
        for below, each in command.commands.items():
            yield from _described(click.Context(command, info_name=name, parent=root), each, below, "###")


def _described(parent: click.Context, command: click.Command, name: str, heading: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield f"{heading} {context.command_path}"
    yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield from markdown.prose(command.help)
    options = [param for param in command.params if isinstance(param, click.Option) and param.name != "data_dir"]
    records = [record for option in options if (record := option.get_help_record(context))]
    if records:
        yield markdown.table(("option", "meaning"), [(f"`{record[0]}`", record[1]) for record in records])


def _processes() -> Iterator[str]:
    yield "## Run for you"
    yield _PROCESSES
    rows = [(f"`faas {name}`", entry.help) for name, entry in main.COMMANDS.items() if entry.hidden]
    yield markdown.table(("command", "what it does"), rows)


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes"
    rows = [(str(row.code), f"`{row.name}`", row.meaning) for row in exits.TABLE]
    yield markdown.table(("code", "name", "meaning"), rows)
