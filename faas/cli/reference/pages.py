"""Which pages there are."""

from __future__ import annotations

from collections.abc import Callable

from faas.cli.reference import api, commands, events, failures, manifest, settings

MADE: dict[str, Callable[[], str]] = {
    "api.md": api.page,
    "cli.md": commands.page,
    "errors.md": failures.page,
    "events.md": events.page,
    "manifest.md": manifest.page,
    "settings.md": settings.page,
}
"""By file name, what makes its text."""
