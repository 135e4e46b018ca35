"""The rules that people set for how long things are kept, while the platform runs (`faas.core.keeping`)."""

from __future__ import annotations

import sqlalchemy as sa

from faas.core import keeping
from faas.store import bulk, schema

_R = schema.keep_rules


class KeepRules:
    """Reads and sets them. Whoever removes things reads them at each look, so a change needs no restart."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def all(self) -> list[keeping.KeepRule]:
        """Every rule, by kind and function."""
        columns = (_R.c.kind, _R.c.function, _R.c.keep_ms, _R.c.set_at_ms)
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(_R.c.kind, _R.c.function)).all()
        known = {kind.value for kind in keeping.KeepKind}
        # A later platform may have had kinds that this one does not know.
        return [keeping.KeepRule(keeping.KeepKind(row[0]), row[1], row[2], row[3]) for row in rows if row[0] in known]

    def set(self, rule: keeping.KeepRule) -> None:
        """Set one, in place of what was there."""
        row: bulk.Row = (rule.kind.value, rule.function, rule.keep_ms, rule.set_at_ms)
        with self._engine.begin() as connection:
            bulk.replaced(connection.dialect, _R).put(connection, [row])

    def unset(self, kind: keeping.KeepKind, function: str) -> bool:
        """Forget one; whether there was one."""
        with self._engine.begin() as connection:
            these = (_R.c.kind == kind.value, _R.c.function == function)
            return connection.execute(_R.delete().where(*these)).rowcount > 0
