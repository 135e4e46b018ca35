"""Names that a shell may complete, asked of the running platform; silence when there is none."""

from __future__ import annotations

import click

from faas.cli import client
from faas.core import errors


def functions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Functions whose name starts so."""
    try:
        with ctx.scope(cleanup=False):  # click completes outside of any context, and `--data-dir` stands in it
            listed = client.connect().get("/api/v1/functions")["functions"]
    except errors.FaasError:
        return []
    return [each["name"] for each in listed if each["name"].startswith(incomplete)]
