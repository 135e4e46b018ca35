"""Which pages there are."""

from __future__ import annotations

from faas.cli.reference import api, commands, events, failures, manifest, settings


def made() -> dict[str, str]:
    """Every page by its file name."""
    return {
        "api.md": api.page(),
        "cli.md": commands.page(),
        "errors.md": failures.page(),
        "events.md": events.page(),
        "manifest.md": manifest.page(),
        "settings.md": settings.page(),
    }
