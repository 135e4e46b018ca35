"""How the platform is."""

from __future__ import annotations

from typing import Annotated

import msgspec

from faas.api.schemas import budgets as budget_bodies
from faas.api.schemas import functions as function_bodies
from faas.health import facts

_Doc = msgspec.Meta


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node whose lease holds. ``engine`` is what contains functions there: docker, or process (nothing)."""

    name: str
    host: str
    pid: int
    catalog: int
    memory_mb: int
    memory_used_mb: int
    engine: str
    sandboxes: dict[str, int]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of one kind, and how much was removed because its time had come.

    ``bytes`` are those of bodies, texts and files, and 0 where only the number is known.
    """

    count: int
    bytes: int
    freed: int
    freed_bytes: int


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, by kind, and the database as it lies on the disk.

    ``database_free_bytes`` are part of ``database_bytes``: room that what was removed left, for what comes (SQLite).
    ``looked_at_ms`` is when all was last looked through for what is past its time, null before the first time.
    """

    kinds: dict[str, Kept]
    database_bytes: int
    database_free_bytes: int
    looked_at_ms: int | None


class PlatformStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is, at one instant."""

    version: str
    catalog: int
    drift: int
    functions: dict[str, function_bodies.Places]
    nodes: tuple[Node, ...]
    kept: Keeping
    budgets: Annotated[
        tuple[budget_bodies.BudgetState, ...],
        _Doc(description="Those that are reached, with what was spent when they were."),
    ] = ()


class Health(msgspec.Struct, frozen=True):
    """The control API answers."""

    status: str = "ok"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was established of the platform. ``ok`` says that nothing failed and nothing is unknown."""

    ok: bool
    facts: tuple[facts.Fact, ...]
