"""The rules for how long things are kept: those that people set while the platform runs, and those of manifests."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from faas.core import keeping, model
from faas.store import bulk, schema

_R = schema.keep_rules
_SAID = "manifest:"
_KINDS = frozenset(kind.value for kind in keeping.KeepKind)


class KeepRules:
    """Reads and sets them. Whoever removes things reads them at each look, so a change needs no restart."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> list[keeping.KeepRule]:
        """Every rule, by kind and function."""
        columns = (_R.c.kind, _R.c.function, _R.c.keep_ms, _R.c.set_at_ms)
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(_R.c.kind, _R.c.function)).all()
        return [rule for row in rows if (rule := _rule(*row)) is not None]

    def set(self, rule: keeping.KeepRule) -> None:
        """Set one, in place of what was there."""
        row: bulk.Row = (rule.kind.value, rule.function, rule.keep_ms, rule.set_at_ms)
        with self._engine.begin() as connection:
            bulk.replaced(connection.dialect, _R).put(connection, [row])

    def unset(self, kind: keeping.KeepKind, function: str) -> bool:
        """Forget one that was set; whether there was one."""
        with self._engine.begin() as connection:
            these = (_R.c.kind == kind.value, _R.c.function == function)
            return connection.execute(_R.delete().where(*these)).rowcount > 0

    def forget_gone(self) -> int:
        """Forget the rules of functions that have ended and of which nothing is left that they are about; how many."""
        revisions = schema.revisions.c
        left = (
            sa.exists().where(schema.functions.c.name == _R.c.function),
            sa.exists().where(schema.kept_by_function.c.function == _R.c.function),
            sa.exists().where(schema.dead_letters.c.function == _R.c.function),
            sa.exists().where(schema.undelivered.c.function == _R.c.function),
            # A row without an artifact only keeps its number, for ever.
            sa.exists().where(revisions.function == _R.c.function, revisions.artifact != ""),
        )
        with self._engine.begin() as connection:
            return connection.execute(_R.delete().where(_R.c.function != keeping.ALL, ~sa.or_(*left))).rowcount


def _rule(text: str, function: str, keep_ms: int, set_at_ms: int) -> keeping.KeepRule | None:
    """The rule of a row; None of a kind that a later platform knew and this one does not."""
    kind = text.removeprefix(_SAID)
    if kind not in _KINDS:
        return None
    origin = keeping.RuleOrigin.SET if kind == text else keeping.RuleOrigin.MANIFEST
    return keeping.KeepRule(keeping.KeepKind(kind), function, keep_ms, set_at_ms, origin)


def declare(connection: sa.Connection, revisions: Iterable[model.Revision], now_ms: int) -> None:
    """Let the manifests count by which these revisions were made, as part of the transaction that activates them."""
    revisions = list(revisions)
    these = _R.c.function.in_([revision.function for revision in revisions])
    connection.execute(_R.delete().where(these, _R.c.kind.startswith(_SAID)))
    rows = [
        {"kind": _SAID + kind, "function": each.function, "keep_ms": keep_ms, "set_at_ms": now_ms}
        for each in revisions
        for kind, keep_ms in each.config.keep.items()
    ]
    if rows:
        connection.execute(_R.insert(), rows)
