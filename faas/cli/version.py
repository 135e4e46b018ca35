"""`faas version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from faas.cli import options, output


@click.command()
@options.json_option
def version_command(*, as_json: bool) -> None:
    """Print the version of faas and of its Python; `faas --version` does, too."""
    if as_json:
        output.emit({"faas": metadata.version("faas"), "python": platform.python_version()})
    else:
        output.line(line())


def line() -> str:
    """``faas 0.1.0 (Python 3.12.1)``."""
    return f"faas {metadata.version('faas')} (Python {platform.python_version()})"
