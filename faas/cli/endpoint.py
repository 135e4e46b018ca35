"""Where the running platform is: ``platform.json`` and ``token`` in the data directory, written by `faas up`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from faas.cli import platform_dir
from faas.core import errors
from faas.core.values import unreadable


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The URLs of a running platform and the token of its control API."""

    api: str
    gateway: str
    token: str


class _PlatformFile(msgspec.Struct, frozen=True, kw_only=True):
    api: str
    gateway: str
    token_file: str


def find(root: Path) -> Endpoint:
    """The platform of a data directory. Raises `errors.Unavailable` when none runs there."""
    try:
        said = msgspec.json.decode((root / platform_dir.PLATFORM_FILE).read_bytes(), type=_PlatformFile)
        token = Path(said.token_file).read_text().strip()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise not_running(root) from error
    except PermissionError as error:
        raise errors.Unauthorized(f"{error.filename} is not yours to read", hint="run as who ran `faas up`") from error
    except unreadable.ERRORS as error:
        raise errors.Unavailable(f"{root / 'platform.json'} is broken: {error}", hint="restart the platform") from error
    return Endpoint(api=said.api.rstrip("/"), gateway=said.gateway.rstrip("/"), token=token)


def not_running(root: Path, **data: Any) -> errors.Unavailable:
    """The error of a data directory whose platform does not run."""
    return errors.Unavailable(
        f"no platform is running on {root}", hint="start it with `faas up`, or name another with --data-dir", **data
    )
