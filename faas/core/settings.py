"""One Settings object: defaults < faas.toml < FAAS_* environment < flags. Nothing else reads the environment.

People write settings by flat names (`port`, ``FAAS_PORT``). In the code they stand in groups (`faas.core.groups`), and
a room is given the group that is its own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from faas.core import errors, groups
from faas.core.values import texts, unreadable


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, in its group. Make them from flat names with `of`, or with `load`."""

    data: groups.Data = msgspec.field(default_factory=groups.Data)
    listening: groups.Listening = msgspec.field(default_factory=groups.Listening)
    redis: groups.Redis = msgspec.field(default_factory=groups.Redis)
    queues: groups.Queues = msgspec.field(default_factory=groups.Queues)
    results: groups.Results = msgspec.field(default_factory=groups.Results)
    runners: groups.Runners = msgspec.field(default_factory=groups.Runners)
    leases: groups.Leases = msgspec.field(default_factory=groups.Leases)
    sandboxes: groups.Sandboxes = msgspec.field(default_factory=groups.Sandboxes)
    building: groups.Building = msgspec.field(default_factory=groups.Building)
    destinations: groups.Destinations = msgspec.field(default_factory=groups.Destinations)
    retention: groups.Retention = msgspec.field(default_factory=groups.Retention)
    alarms: groups.Watching = msgspec.field(default_factory=groups.Watching)
    platform_logs: groups.PlatformLogs = msgspec.field(default_factory=groups.PlatformLogs)
    prices: groups.Prices = msgspec.field(default_factory=groups.Prices)
    budgets: groups.Budgets = msgspec.field(default_factory=groups.Budgets)
    telemetry: groups.Telemetry = msgspec.field(default_factory=groups.Telemetry)


GROUPS: Mapping[str, type[msgspec.Struct]] = {
    field.name: field.default_factory for field in msgspec.structs.fields(Settings)
}
"""The groups by their names in `Settings`."""

GROUP_OF: Mapping[str, str] = {setting: name for name, group in GROUPS.items() for setting in group.__struct_fields__}
"""The group of each setting, by its flat name."""


def load(
    environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None, file: Path | None = None
) -> Settings:
    """Merge the sources, later ones winning; flags that are None were not given.

    ``file`` defaults to ``faas.toml`` in the data directory. Raises `errors.BadRequest` naming the source and the key.
    """
    environ = os.environ if environ is None else environ
    from_env = {key[5:].lower(): value for key, value in environ.items() if key.startswith("FAAS_")}
    # Others of that beginning are not ours to refuse: tools and shells have them, too.
    from_env = {key: value for key, value in from_env.items() if key in GROUP_OF}
    from_flags = {key: value for key, value in (flags or {}).items() if value is not None}
    # First of all, as the file is looked for in it.
    data_dir = str(from_flags.get("data_dir") or from_env.get("data_dir") or groups.Data().data_dir)
    home = _home(data_dir)
    file = file or home / "faas.toml"
    merged = {**_from_file(file), **_checked(from_env, "environment", "FAAS_"), **from_flags}
    # A file says nothing of the directory in which it was looked for.
    merged["data_dir"] = data_dir
    return of(**merged)


def of(**flat: Any) -> Settings:
    """The settings that are given by their flat names, and the defaults of all others. Raises `errors.BadRequest`."""
    return changed(Settings(), **flat)


def changed(chosen: Settings, **flat: Any) -> Settings:
    """The settings with some of them changed, by their flat names. Raises `errors.BadRequest`."""
    given: dict[str, dict[str, Any]] = {}
    for key, value in flat.items():
        given.setdefault(_group_of(key, "settings"), {})[key] = value
    return msgspec.structs.replace(
        chosen, **{name: _convert({**_flat(getattr(chosen, name)), **own}, name) for name, own in given.items()}
    )


def flat(chosen: Settings) -> dict[str, Any]:
    """Every setting by its flat name."""
    return {key: value for name in GROUPS for key, value in _flat(getattr(chosen, name)).items()}


def to_environ(chosen: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process that shall have exactly these settings, whatever its own sources say."""
    inherited = os.environ if environ is None else environ
    kept = {key: value for key, value in inherited.items() if not key.startswith("FAAS_")}
    own = {f"FAAS_{key.upper()}": str(value) for key, value in flat(chosen).items()}
    return {**kept, **own}


def place_rq(redis: groups.Redis) -> None:
    """Let RQ keep its keys below the platform's prefix, in this process. Call it before anything imports RQ.

    RQ takes the first part of its keys from the environment, and nowhere else, when it is imported.
    """
    os.environ["RQ_KEY_PREFIX"] = f"{redis.redis_prefix}:rq"


def _home(chosen: str) -> Path:
    try:
        return Path(chosen).expanduser()
    except RuntimeError as error:
        raise errors.BadRequest(f"data_dir: {chosen[:200]}: nobody of that name has a home directory") from error


def _from_file(file: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(texts.decoded(file.read_bytes()))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return {}
    except OSError as error:
        raise errors.BadRequest(f"{file} cannot be read: {error.strerror}") from error
    except unreadable.ERRORS as error:  # those of tomllib among them
        raise errors.BadRequest(f"{file}: {error}", hint="write it as TOML: key = value") from error
    return _checked(table, str(file), "")


def _checked(table: Mapping[str, Any], source: str, prefix: str) -> dict[str, Any]:
    for key, value in table.items():
        group = _group_of(key, source)
        _convert({key: value}, group, f"{source}: {prefix}{key.upper() if prefix else key}")
    return dict(table)


def _group_of(key: str, source: str) -> str:
    if key not in GROUP_OF:
        raise errors.BadRequest(f"{source}: unknown setting {key}", hint="see docs/reference/settings.md")
    return GROUP_OF[key]


def _flat(group: msgspec.Struct) -> dict[str, Any]:
    return msgspec.structs.asdict(group)


def _convert(table: Mapping[str, Any], group: str, where: str = "settings") -> msgspec.Struct:
    try:
        for value in table.values():
            str(value).encode()  # msgspec lets half a surrogate pass, and nothing that is written of it later does
        # Not strictly, since a variable of the environment is a text.
        return msgspec.convert(dict(table), GROUPS[group], strict=False)
    except unreadable.ERRORS as error:  # a variable of the environment may be no text
        raise errors.BadRequest(f"{where}: {error}", hint="see docs/reference/settings.md") from error
