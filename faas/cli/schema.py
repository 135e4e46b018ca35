"""`faas schema`."""

from __future__ import annotations

import click

from faas.cli import output


@click.command()
def schema_command() -> None:
    """Print the JSON Schema of faas.yaml, for editors to complete and check it.

    \b
    faas schema > faas.schema.json
    Then make this the first line of faas.yaml:
    # yaml-language-server: $schema=./faas.schema.json
    """
    import json

    from faas.core.manifest import table

    output.line_of_json(json.dumps(table.json_schema(), indent=2))
