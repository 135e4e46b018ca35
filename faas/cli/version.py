"""`faas version`."""

from __future__ import annotations

import click

from faas.cli import options, output


@click.command()
@options.json_option
def version_command(*, as_json: bool) -> None:
    """Print the version of faas and of its Python."""
    import platform
    from importlib import metadata

    facts = {"faas": metadata.version("faas"), "python": platform.python_version()}
    if as_json:
        output.emit(facts)
    else:
        output.line(f"faas {facts['faas']} (Python {facts['python']})")
