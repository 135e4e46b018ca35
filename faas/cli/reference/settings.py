"""Every setting, its default and its bounds."""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from faas.cli.reference import markdown
from faas.core import settings as settings_module

_INTRO = (
    "Each setting may stand in `faas.toml` in the data directory (`port = 8081`) and in the environment "
    "(`FAAS_PORT=8081`). The environment wins over the file, and flags of a command over both. A value that is not of "
    "its type or out of its bounds is an error that names the source and the key. `_ms` are milliseconds, `_mb` MiB."
)


def page() -> str:
    """The whole page."""
    hints = get_type_hints(settings_module.Settings, include_extras=True)
    rows = [_row(field, hints[field.name]) for field in msgspec.structs.fields(settings_module.Settings)]
    names = ("setting", "environment", "type", "default", "meaning")
    return markdown.page("Settings", [_INTRO, markdown.table(names, rows)])


def _row(field: Any, hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"the setting {field.name} has no description")
    kind, meta = get_args(hint)[:2]
    bounds = [f"{sign} {bound}" for sign, bound in (("≥", meta.ge), ("≤", meta.le)) if bound is not None]
    meaning = f"{meta.description} ({', '.join(bounds)})" if bounds else str(meta.description)
    default = msgspec.json.encode(field.default).decode()
    return f"`{field.name}`", f"`FAAS_{field.name.upper()}`", kind.__name__, f"`{default}`", meaning
