"""`faas sbom`."""

from __future__ import annotations

import click

from faas.cli import client, options, output
from faas.cli import names as known


@click.command()
@click.argument("name", shell_complete=known.functions)
@options.json_option
def sbom_command(*, name: str, as_json: bool) -> None:
    """Print the bill of materials of the function NAME: the packages in its artifact, as CycloneDX 1.6.

    It is read from the artifact itself. What lies in the source folder without having been installed is not listed.

    \b
    faas sbom hello > hello.cdx.json
    """
    output.emit(client.connect().get(f"/api/v1/functions/{client.quote(name)}/sbom"))
