"""Functions and their revisions."""

from __future__ import annotations

from typing import Any

import msgspec

from faas.artifacts import comparing
from faas.core import model


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function by its current revision."""

    name: str
    revision: int
    artifact: str
    created_at_ms: int
    config: model.FunctionConfig


class FunctionList(msgspec.Struct, frozen=True):
    """All functions, by name."""

    functions: tuple[Function, ...]


class RevisionSummary(msgspec.Struct, frozen=True):
    """One revision of a function's past or present."""

    number: int
    artifact: str
    created_at_ms: int
    current: bool


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the invocations of a function are. ``drift`` is always 0."""

    accepted: int = 0
    waiting: int = 0
    running: int = 0
    retrying: int = 0
    done: int = 0
    dead: int = 0
    drift: int = 0


class Description(Function, frozen=True, kw_only=True):
    """A function with its revisions and the places of its invocations."""

    revisions: tuple[RevisionSummary, ...]
    places: Places


class Removed(msgspec.Struct, frozen=True):
    """The function that is gone, and the alarms that went with it."""

    name: str
    alarms: tuple[str, ...] = ()


class RevisionSide(msgspec.Struct, frozen=True):
    """One of two revisions that are compared."""

    number: int
    artifact: str
    created_at_ms: int


class ConfigChange(msgspec.Struct, frozen=True):
    """A value of the configuration, by its dotted name; null where it is not set."""

    name: str
    before: Any
    after: Any


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two revisions. Bytecode is left out; ``is_cut`` says that more files differ."""

    function: str
    before: RevisionSide
    after: RevisionSide
    config: tuple[ConfigChange, ...]
    files: tuple[comparing.FileChange, ...]
    is_cut: bool
