"""`faas image`: the base image of the sandboxes, found, pulled or built before anybody waits for it."""

from __future__ import annotations

import contextlib

import click
import msgspec

from faas.cli import options, output, platform_dir


@click.command()
@options.json_option
def image_command(*, as_json: bool) -> None:
    """Find, pull or build the base image of the sandboxes, and make it ready. Quick when it is ready already.

    \b
    faas image
    FAAS_BASE_IMAGE=python:3.12-slim faas image
    """
    from runners.sandbox import docker_calls, image

    settings = options.settings()
    platform_dir.prepare(settings.root)
    with contextlib.closing(docker_calls.connect()) as client:
        ready = image.ensure(client, settings, lambda line: output.say(f"base image: {line}"))
    if as_json:
        output.emit(msgspec.to_builtins(ready))
    else:
        output.line(f"{ready.source} (Python {ready.python})")
