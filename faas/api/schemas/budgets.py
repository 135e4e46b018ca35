"""Budgets, and what is spent of them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from faas.core import model

_Doc = msgspec.Meta


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """A budget in its period of now. ``function`` is `*` for that of all functions together.

    ``state`` is `under`, `reached` (it warned), `stopped` (it refuses calls), or `lifted` (somebody let it run on).
    """

    function: str
    per: model.Per
    then: model.Then
    period: Annotated[str, _Doc(description="The day or month, in UTC.")]
    until_ms: Annotated[int, _Doc(description="When it is over.")]
    amount_pico: int
    amount_decimal: str
    spent_pico: int
    spent_decimal: str
    state: str
    reached_at_ms: int | None


class BudgetList(msgspec.Struct, frozen=True, kw_only=True):
    """All budgets: that of all functions first, then those of functions by name."""

    currency: str
    budgets: tuple[BudgetState, ...]


class Lifted(msgspec.Struct, frozen=True):
    """The periods for whose rest a budget stops nothing."""

    function: str
    periods: tuple[str, ...]
