"""A click group that imports a command's module only when that command is used.

`faas --help` lists every command from the table alone, so it starts as fast as click does.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click import shell_completion

from faas.cli import failures, options


class Entry(NamedTuple):
    """Where a command lives: ``module`` imports, ``attribute`` is the click command, ``help`` its line in the list."""

    module: str
    attribute: str
    help: str
    section: str = "Commands"
    hidden: bool = False


class LazyGroup(click.Group):
    """A group whose commands are a table of `Entry`. Every command gets the option ``--data-dir``."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names that people use, in the table's order."""
        return [name for name, entry in self.entries.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(importlib.import_module(entry.module), entry.attribute)
        for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            if not any(param.name == "data_dir" for param in each.params):
                each.params.append(options.data_dir_option())
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises `failures.ReaderGone` when nobody reads what it prints."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise failures.ReaderGone from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, section by section, without importing any of them."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            entry = self.entries[name]
            sections.setdefault(entry.section, []).append((name, entry.help))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[shell_completion.CompletionItem]:
        """Names of commands for the shell, again without importing any of them."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [shell_completion.CompletionItem(name, help=self.entries[name].help) for name in names]
        return found or click.Command.shell_complete(self, ctx, incomplete)
