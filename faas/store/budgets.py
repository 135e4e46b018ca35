"""Which budgets are reached, in which period, since when; and which of them somebody has lifted.

A row is there once for each budget and period, so whoever writes it first tells of it. A change of what is stopped is a
change of the catalog, whose followers hear of it as they do of a deploy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
import sqlalchemy as sa

from faas.core import model
from faas.core.money import budgets
from faas.store import bills, schema

_P = schema.budgets


class ReachedBudgets:
    """Reads and changes them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def spent_pico(self, function: str, period: budgets.Period) -> int:
        """What a function, or `budgets.ALL` of them, cost in a period, exactly."""
        whose = None if function == budgets.ALL else function
        with self._engine.connect() as connection:
            return bills.spent_pico(connection, period.since_ms, period.until_ms, whose)

    def spent_by_function(self, period: budgets.Period) -> dict[str, int]:
        """What each function cost in a period."""
        with self._engine.connect() as connection:
            lines = bills.lines(connection, "function", period.since_ms, period.until_ms)
        return {line.name: line.cost_pico for line in lines}

    def spent_of(self, functions: Collection[str], period: budgets.Period) -> dict[str, int]:
        """What these functions cost in a period, at a cost that grows with their number alone."""
        with self._engine.connect() as connection:
            return bills.spent_by(connection, period.since_ms, period.until_ms, functions)

    def reached(self, now_ms: int) -> list[budgets.Reached]:
        """The budgets reached in periods that are not over, by function; lifted ones too."""
        query = sa.select(_P).where(_P.c.until_ms > now_ms).order_by(_P.c.function, _P.c.period)
        with self._engine.connect() as connection:
            return [_reached(row) for row in connection.execute(query)]

    def note(self, found: budgets.Reached) -> bool:
        """Write down that one is reached; False when it is known already."""
        same = (_P.c.function == found.function, _P.c.period == found.period)
        with self._engine.begin() as connection:
            # The lock goes first: whoever looks at the same time waits here, and finds the row.
            _change(connection, by=0)
            if connection.execute(sa.select(_P.c.function).where(*same)).first() is not None:
                return False
            connection.execute(_P.insert().values(**msgspec.to_builtins(found)))
            if found.then is model.Then.STOP:
                _change(connection, by=1)
        return True

    def withdraw(self, gone: Iterable[budgets.Reached]) -> None:
        """Forget those that are not reached any more: raised, or taken away."""
        with self._engine.begin() as connection:
            _change(connection, by=1)
            for one in gone:
                connection.execute(_P.delete().where(_P.c.function == one.function, _P.c.period == one.period))

    def lift(self, function: str, now_ms: int) -> list[budgets.Reached]:
        """Let a function run on for the rest of the period; what was lifted, nothing when nothing stopped it."""
        stopped = [one for one in self.reached(now_ms) if one.function == function and one.stops(now_ms)]
        if stopped:
            with self._engine.begin() as connection:
                _change(connection, by=1)
                its = (_P.c.function == function, _P.c.until_ms > now_ms, _P.c.lifted_at_ms.is_(None))
                connection.execute(_P.update().where(*its).values(lifted_at_ms=now_ms))
        return stopped


def stops(engine: sa.Engine, now_ms: int) -> dict[str, budgets.BudgetStop]:
    """What is stopped now, by the name of its budget."""
    return {
        one.function: budgets.BudgetStop(one.function, one.amount_pico, one.per, one.until_ms)
        for one in ReachedBudgets(engine).reached(now_ms)
        if one.stops(now_ms)
    }


def _reached(row: sa.Row[tuple[object, ...]]) -> budgets.Reached:
    # The names of the row are texts of SQLAlchemy's own, which msgspec takes for none.
    return msgspec.convert(dict(zip(budgets.Reached.__struct_fields__, row, strict=True)), budgets.Reached)


def _change(connection: sa.Connection, *, by: int) -> None:
    """Take the lock that all writers of the catalog take, and let its followers look again unless ``by`` is 0."""
    connection.execute(schema.catalog.update().values(version=schema.catalog.c.version + by))
