"""`faas buckets`."""

from __future__ import annotations

import click

from faas.cli import client, layout, options, output


@click.command()
@options.json_option
def buckets_command(*, as_json: bool) -> None:
    """List the buckets: where each lies, which functions may use it, and which of them its uploads run.

    \b
    faas buckets
    faas ls photos/in/                     # what is in one
    """
    found = client.connect().get("/buckets")["buckets"]
    if as_json:
        output.emit(found)
        return
    output.table(
        ("BUCKET", layout.Column("FOLDER", drop=1), layout.Column("FUNCTIONS", cut=True), "UPLOADS RUN"),
        [
            (
                each["name"],
                each["path"] or "(data directory)",
                ", ".join(f"{name}: {access}" for name, access in sorted(each["functions"].items())) or None,
                ", ".join(each["triggers"]) or None,
            )
            for each in found
        ],
    )
