"""`faas image`: the images of the sandboxes, found, pulled or built before anybody waits for them."""

from __future__ import annotations

import contextlib

import click
import msgspec

from faas.cli import options, output, platform_dir


@click.command()
@options.json_option
def image_command(*, as_json: bool) -> None:
    """Find, pull or build the base image of each runtime, and make it ready. Quick when all are ready already.

    \b
    faas image
    FAAS_BASE_IMAGE=python:3.12-slim faas image
    """
    from faas.cli import languages
    from runners.engines.docker import daemon, image

    settings = options.settings()
    platform_dir.keep_to_owner()
    platform_dir.prepare(settings.data.root, output.say)
    with contextlib.closing(daemon.connect()) as client:
        ready = [
            image.ensure(client, settings.data.root, runtime.image, lambda line: output.say(f"base image: {line}"))
            for runtime in languages.known(settings.sandboxes.base_image)
        ]
    if as_json:
        output.emit({"images": msgspec.to_builtins(ready)})
        return
    for one in ready:
        output.line(f"{one.source} ({one.runtime})")
