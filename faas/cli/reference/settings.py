"""Every setting, its default and its bounds."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from faas.cli.reference import markdown
from faas.core import settings as settings_module

_INTRO = (
    "Each setting may stand in `faas.toml` in the data directory (`port = 9000`) and in the environment "
    "(`FAAS_PORT=9000`). The environment wins over the file, and flags of a command over both. A value that is not of "
    "its type or out of its bounds is an error that names the source and the key. `_ms` are milliseconds, `_mb` MiB. "
    "The headings are for reading: they are no part of a setting's name, and no table of `faas.toml`."
)


def page() -> str:
    """The whole page."""
    blocks = [_INTRO]
    for name, group in settings_module.GROUPS.items():
        blocks += [f"## {name.replace('_', ' ').capitalize()}", inspect.getdoc(group) or "", _table(group)]
    return markdown.page("Settings", blocks)


def _table(group: type[msgspec.Struct]) -> str:
    hints = get_type_hints(group, include_extras=True)
    rows = [_row(field, hints[field.name]) for field in msgspec.structs.fields(group)]
    return markdown.table(("setting", "environment", "type", "default", "meaning"), rows)


def _row(field: Any, hint: Any) -> tuple[str, ...]:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"the setting {field.name} has no description")
    kind, meta = get_args(hint)[:2]
    bounds = [f"{sign} {bound}" for sign, bound in (("≥", meta.ge), ("≤", meta.le)) if bound is not None]
    meaning = f"{meta.description} ({', '.join(bounds)})" if bounds else str(meta.description)
    default = msgspec.json.encode(field.default).decode()
    return f"`{field.name}`", f"`FAAS_{field.name.upper()}`", kind.__name__, f"`{default}`", meaning
