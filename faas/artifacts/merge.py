"""Which files a bundle of several folders holds: each folder lies over the ones before it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from faas.core import errors

_BYTECODE = re.compile(r"(?P<module>.+)\.(?:cpython|pypy)-[^/]*\.pyc")


def merged(folders: Sequence[Path]) -> dict[str, Path]:
    """Relative name to path, for every file and every empty folder.

    A file takes the place of a folder of its name and the other way round, and a module that is replaced takes the
    bytecode of the replaced one away with it. Raises `errors.BadRequest` for links, devices and the like.
    """
    entries: dict[str, Path] = {}
    for folder in folders:
        over = _listed(folder)
        if entries:
            entries = _without_hidden(entries, over)
        entries |= over
    return entries


def _without_hidden(under: dict[str, Path], over: dict[str, Path]) -> dict[str, Path]:
    folders = {str(parent) for name in over for parent in PurePosixPath(name).parents}
    modules = {name.removesuffix(".py") for name in over if name.endswith(".py")}
    return {
        name: path
        for name, path in under.items()
        if name not in folders
        and over.keys().isdisjoint(str(parent) for parent in PurePosixPath(name).parents)
        and _compiled_from(name) not in modules
    }


def _compiled_from(name: str) -> str | None:
    path = PurePosixPath(name)
    found = _BYTECODE.fullmatch(path.name)
    if found is None or path.parent.name != "__pycache__":
        return None
    return str(path.parent.parent / found["module"])


def _listed(folder: Path) -> dict[str, Path]:
    entries: dict[str, Path] = {}
    for place, folders, files in os.walk(folder):
        here = Path(place)
        # A folder that holds something is made with it; only an empty one needs an entry.
        if not folders and not files and here != folder:
            entries[here.relative_to(folder).as_posix()] = here
        # `os.walk` counts a link to a folder as a folder, and does not go into it.
        for name in [*files, *(name for name in folders if (here / name).is_symlink())]:
            path = here / name
            if not stat.S_ISREG(path.lstat().st_mode):
                raise errors.BadRequest(f"{path.relative_to(folder)} is no plain file and cannot be part of a bundle")
            entries[path.relative_to(folder).as_posix()] = path
    return entries
