"""The port of the builds: whoever takes in a deployment hands it over here and asks how far it is.

The control API calls it, the builds provide it, and the composition root joins them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from faas.core import model


class State(enum.StrEnum):
    """How far a deployment, or one step of it, is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one function: validate, resolve, compile, pack, load."""

    function: str
    name: str
    state: State
    took_ms: int = 0


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """How far a deployment is. ``error`` is the user's own trouble in his words, ``functions`` the revisions made."""

    id: str
    state: State
    steps: tuple[Step, ...] = ()
    functions: tuple[str, ...] = ()
    error: model.Failure | None = None


class Builds(Protocol):
    """Takes deployments in; both methods may block on Redis and are called in threads."""

    def submit(self, project: model.Project, sources: Mapping[str, Path]) -> str:
        """Queue a deployment of ``sources`` (function name to tar); its id. Raises `errors.Unavailable`."""

    def progress(self, deployment_id: str) -> Deployment:
        """How far it is. Raises `errors.NotFound`."""
