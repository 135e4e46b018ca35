"""The image that Python's sandboxes start from, ready to use."""

from __future__ import annotations

import docker

from faas.cli import languages
from faas.core import settings as settings_module
from runners.engines.docker import image


def of(client: docker.APIClient, settings: settings_module.Settings) -> str:
    """Its id. Blocks for as long as it takes to have it."""
    python = next(iter(languages.known(settings.sandboxes.base_image)))
    return image.ensure(client, settings.data.root, python.image).id
