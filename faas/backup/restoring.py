"""Making a data directory from a backup: whole and at once, or not at all.

::

    file ──each part compared with its digest──► folder beside the place ──renamed──► data directory
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from faas.backup import archive, staging
from faas.core import errors


def restore(file: Path, root: Path, told: Callable[[str], None] = lambda name: None) -> archive.Manifest:
    """Make ``root`` of a backup; it must not be there, or be empty.

    Raises `errors.Conflict` when something is in it, `errors.BadRequest` for a file that is no whole backup and
    `errors.Unavailable` when the disk is full: ``root`` is as it was then.
    """
    if not file.is_file():
        raise errors.NotFound(f"{file} is no file", hint="name the file that `faas backup` wrote")
    _require_empty(root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with staging.beside(root) as folder:
        made = folder / "data"
        made.mkdir(mode=0o700)
        manifest = archive.unpack(file, made, told)
        for below in sorted(made.rglob("*")):
            if below.is_dir():
                staging.sync(below)
        # Whoever came first keeps it: an empty folder is replaced, any other is not.
        try:
            staging.publish(made, root)
        except OSError as error:
            raise errors.Conflict(
                f"{root} cannot be replaced: {os.strerror(error.errno or 0)}", hint="restore --into another folder"
            ) from error
    return manifest


def _require_empty(root: Path) -> None:
    try:
        held = sorted(path.name for path in root.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.Conflict(f"{root} cannot be read: {error.strerror}", hint="restore --into another") from error
    if held:
        raise errors.Conflict(
            f"{root} is not empty: it holds {', '.join(held[:3])}{' and more' if len(held) > 3 else ''}",
            hint="restore --into a folder that is not there yet, then `faas --data-dir` that",
        )
