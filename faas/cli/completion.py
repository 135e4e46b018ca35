"""`faas completion`: the script that teaches a shell to complete `faas`."""

from __future__ import annotations

import click
from click import shell_completion


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  faas completion bash >> ~/.bashrc
    zsh:   faas completion zsh >> ~/.zshrc
    fish:  faas completion fish > ~/.config/fish/completions/faas.fish
    """
    kind = shell_completion.get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "faas", "_FAAS_COMPLETE").source())
