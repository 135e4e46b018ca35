"""The runtimes that one engine has sandboxes of."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from pathlib import Path

import msgspec

from faas.runtimes import installed, port, table
from runners.engines import agent_files
from runners.sandbox import base

Version = Callable[[port.Runtime], tuple[str, str] | None]
"""Gives version and image of a runtime; None when there is none. Raises `base.EngineUnavailable`."""

_log = logging.getLogger(__name__)


class Language(msgspec.Struct, frozen=True, kw_only=True):
    """A runtime as an engine has it: in one version, with a copy of the agent for that. Processes have no image."""

    runtime: port.Runtime
    has: str
    agent: Path
    image: str = ""


class Languages:
    """The runtimes of one engine. Make it with `found`."""

    def __init__(self, each: list[Language]) -> None:
        self._by_name = {one.runtime.name: one for one in each}
        self.runtimes = table.Runtimes([one.runtime for one in each])
        self.installed = tuple(installed.Installed(name=one.has, machine=platform.machine()) for one in each)

    def of(self, spec: base.Spec) -> Language:
        """The language that a sandbox is asked for. Raises `base.EngineUnavailable` when it is not here."""
        found = self._by_name.get(spec.runtime)
        if found is None:
            names = ", ".join(one.name for one in self.installed) or "none"
            raise base.EngineUnavailable(f"this node has no sandboxes of {spec.runtime}", hint=f"it has: {names}")
        return found


def found(root: Path, wanted: table.Runtimes, version: Version) -> Languages:
    """The wanted runtimes that are to be had; blocks.

    When one has no version here it is left out. Raises `base.EngineUnavailable` when that is so of all of them for a
    reason.
    """
    each, failed = [], None
    for runtime in wanted:
        try:
            has = version(runtime)
        except base.EngineUnavailable as error:
            # An engine without one of the languages serves the others; without any it is of no use, and says why.
            failed = failed or error
            _log.warning("runtime_left_out", extra={"runtime": runtime.name, "reason": error.message})
            continue
        if has is not None:
            agent = agent_files.prepare(root, runtime, has[0])
            each.append(Language(runtime=runtime, has=has[0], agent=agent, image=has[1]))
    if failed is not None and not each:
        raise failed
    return Languages(each)
