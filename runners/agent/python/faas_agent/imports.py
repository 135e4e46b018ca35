"""Whose module an ``import`` of user code finds: the user's own, whatever the agent has imported before it.

An interpreter that starts in the code's folder would look there first. The agent has imported much of the standard
library by then, sooner or later as time allowed, and Python does not look for what it has. So what the code's folder
has a module of the same name for is forgotten before user code runs; the agent keeps what it holds.
"""

from __future__ import annotations

import _imp
import importlib
import importlib.machinery
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Callable

WARM = ("logging", "traceback", "asyncio", "concurrent.futures", "datetime", "decimal", "tempfile", "urllib.parse")
"""What most handlers need, imported while nobody waits for anything."""

# What an interpreter needs before it looks into any folder. Newer ones hold more of it inside (`_imp.is_frozen`).
_STARTED_WITH = frozenset(
    {
        *("__main__", "_collections_abc", "_sitebuiltins", "abc", "codecs", "encodings", "genericpath", "io", "os"),
        *("posixpath", "site", "stat", "zipimport"),
    }
)


def warm_up(is_wanted: Callable[[], bool]) -> None:
    """Import `WARM` for as long as nothing else is wanted."""
    for name in WARM:
        if is_wanted():
            return
        importlib.import_module(name)


def is_the_interpreters(name: str) -> bool:
    """Whether every interpreter finds its own module of this name, before it looks into any folder."""
    return name in _STARTED_WITH or name in sys.builtin_module_names or _imp.is_frozen(name)


def make_way(folders: Sequence[str]) -> None:
    """Forget what the agent has imported and one of these folders has a module of the same name for.

    Call it before the folders join the import path. What of `WARM` is missing is imported first: whatever the standard
    library's own modules have of each other must not depend on how long the agent has been waiting.
    """
    own = [name for name in _shadowing(folders) if not is_the_interpreters(name) and has_module(name, folders)]
    if own:
        warm_up(lambda: False)
    for name in own:
        forget(name)


def forget(name: str) -> None:
    """Let the next import of a top-level module look for it anew, and of all that is in it."""
    # A copy first, as the table changes under the loop.
    for known in [known for known in sys.modules if known == name or known.startswith(name + ".")]:
        del sys.modules[known]


def has_module(name: str, folders: Sequence[str]) -> bool:
    """Whether one of the folders has a module of this name: a file, a package or a library, but no plain folder."""
    spec = importlib.machinery.PathFinder.find_spec(name, list(folders))
    return spec is not None and spec.loader is not None and spec.origin is not None


def share_folder(name: str, folder: str) -> None:
    """Let ``name.module`` be found in a plain folder, too, whose name the standard library has a module of."""
    module = importlib.import_module(name)
    module.__path__ = [*getattr(module, "__path__", ()), folder]


def _shadowing(folders: Iterable[str]) -> set[str]:
    """The names in these folders that others have already taken or may take."""
    there = {entry.partition(".")[0] for folder in folders for entry in _listed(folder)}
    taken = {name.partition(".")[0] for name in sys.modules}.union(getattr(sys, "stdlib_module_names", ()))
    return there & taken


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
