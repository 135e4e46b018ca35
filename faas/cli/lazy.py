"""Click groups: one that imports a command's module only when it is used, and what both say of a mistyped command.

`faas --help` lists every command from the table alone, so it starts as fast as click does.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click import shell_completion

from faas.cli import failures, options
from faas.core import spelling

OTHER_WORDS = {
    "list": "ls", "get": "show describe", "info": "show describe", "inspect": "show describe", "show": "describe",
    "describe": "show", "call": "invoke", "run": "invoke", "exec": "invoke", "delete": "rm drop", "del": "rm drop",
    "remove": "rm drop", "destroy": "rm drop", "rm": "drop", "drop": "rm", "forget": "drop rm", "start": "up",
    "serve": "up", "stop": "down cancel", "kill": "down cancel", "abort": "cancel", "resend": "retry", "ps": "status",
    "top": "stats", "metrics": "stats", "tail": "logs", "publish": "deploy", "push": "deploy", "apply": "deploy",
    "new": "init", "create": "init", "copy": "cp", "cost": "bill", "costs": "bill", "billing": "bill",
    "health": "doctor", "check": "doctor", "dead-letters": "dlq", "deadletters": "dlq", "runs": "invocations",
}  # fmt: skip
"""What other tools call our commands; of several the first that a group has is meant."""


class Entry(NamedTuple):
    """Where a command lives: ``module`` imports, ``attribute`` is the click command, ``help`` its line in the list."""

    module: str
    attribute: str
    help: str
    section: str = "Commands"
    hidden: bool = False


_FEW = 8
"""Commands that are listed to whom a mistyped one is told."""


class Group(click.Group):
    """A group that says which command a mistyped one is most likely meant to be."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant. Raises `click.UsageError`."""
        word = args[0]
        if word.startswith("-") or self.get_command(ctx, word) is not None:
            return super().resolve_command(ctx, args)
        known = self.list_commands(ctx)
        meant = next((other for other in OTHER_WORDS.get(word, "").split() if other in known), word)
        close = spelling.did_you_mean(meant, known)
        listed = "" if close or len(known) > _FEW else f"; there is {', '.join(known)}"
        raise click.UsageError(f"No such command {word!r}{f'; {close}' if close else listed}", ctx)


class LazyGroup(Group):
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
            # The same command object comes here again when help and completion ask for it.
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
