"""`faas help`."""

from __future__ import annotations

import click

from faas.cli import output


@click.command()
@click.argument("words", nargs=-1, metavar="[COMMAND...]")
@click.pass_context
def help_command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of `faas`, or of one COMMAND, as `faas COMMAND --help` does.

    \b
    faas help
    faas help logs
    faas help dlq drop
    """
    found = ctx.find_root()
    for word in words:
        group = found.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"`{found.command_path}` has no commands of its own", found)
        _, command, _ = group.resolve_command(found, [word])
        if command is None:
            raise click.UsageError(f"No such command {word!r}", found)
        found = click.Context(command, info_name=word, parent=found)
    output.line(found.get_help())
