"""Finds out that a budget is reached, within a second of the record that did it.

What functions have cost is counted in memory as records are committed. The database is read when a period or the
catalog changes, now and then (other recorders write too), and before anything is said: it is what is believed. So
counting costs the same however much was ever recorded, and next to nothing where there is no budget.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence

import sqlalchemy as sa

from faas.core import clock, errors, groups, model
from faas.core.money import billing, budgets
from faas.recorder import following
from faas.store import budgets as reached_budgets
from faas.store import database, functions

_LOOK_S = 0.5
_IDLE_LOOK_S = 2.0
_READ_AGAIN_S = 60.0

_log = logging.getLogger("faas.recorder")


class Spending:
    """What functions have cost in the periods of their budgets. ``of_all`` is the budget of all of them together.

    `committed` is called by the thread that writes records, `look` by another one.
    """

    def __init__(self, data: groups.Data, of_all: model.CostBudget | None) -> None:
        self._data = data
        self._engine: sa.Engine | None = None
        self._of_all = of_all
        self._version = -1
        self._budgets: Mapping[str, model.CostBudget] = {budgets.ALL: of_all} if of_all else {}
        self._periods: Mapping[model.Per, budgets.Period] = {}
        self._read_again_at_s: float | None = None
        self._spent: dict[str, int] = {}
        self._known: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._fresh: dict[str, int] = {}

    @property
    def has_news(self) -> bool:
        """Whether something was committed since the last look."""
        return bool(self._fresh)

    def committed(self, records: Sequence[model.Record]) -> None:
        """Count what was just written."""
        # Most platforms have none, and this is called for every batch.
        if not self._budgets:
            return
        added: dict[str, int] = {}
        for record in records:
            added[record.function] = added.get(record.function, 0) + record.cost_pico
        with self._lock:
            for name in (name for name in added if added[name]):
                self._fresh[name] = self._fresh.get(name, 0) + added[name]

    def look(self, now_ms: int) -> int | None:
        """Write down which budgets are reached, and forget which are no more. Blocks.

        The version of the catalog, when what is stopped has changed by that. Raises `errors.Unavailable`.
        """
        try:
            return self._look(now_ms)
        except errors.Unavailable:
            self._read_again_at_s = None  # what was counted and not judged is read
            raise

    def close(self) -> None:
        """Let go of the database. Safe to call twice."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _look(self, now_ms: int) -> int | None:
        if self._engine is None:
            self._engine = database.open_database(self._data)
        store, reached = functions.Functions(self._engine), reached_budgets.ReachedBudgets(self._engine)
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        version = store.catalog_version()
        is_new, self._version = version != self._version, version
        if is_new:
            self._take_in(store.list_current())
        elif not self._budgets:
            return None
        has_changed = is_new and self._withdraw(reached, now_ms)
        # What was just read holds the fresh records, too: added once more they would count twice.
        if is_new or self._is_stale(now_ms):
            self._read(reached, now_ms)
        else:
            self._add(fresh)
        for name in self._over():
            has_changed |= self._judge(reached, name, now_ms)
        return store.catalog_version() if has_changed else None

    def _take_in(self, current: Sequence[model.Revision]) -> None:
        own = {each.function: each.config.budget for each in current if each.config.budget}
        self._budgets = {**own, **({budgets.ALL: self._of_all} if self._of_all else {})}

    def _withdraw(self, reached: reached_budgets.ReachedBudgets, now_ms: int) -> bool:
        """Forget what was reached of budgets that are others by now; whether one of them stopped something."""
        gone = [one for one in reached.reached(now_ms) if not one.is_of(self._budgets.get(one.function))]
        if gone:
            reached.withdraw(gone)
        for one in gone:
            _log.info("budget_changed", extra={"function": one.function, "period": one.period})
        return any(one.stops(now_ms) for one in gone)

    def _is_stale(self, now_ms: int) -> bool:
        is_over = any(not each.since_ms <= now_ms < each.until_ms for each in self._periods.values())
        return is_over or self._read_again_at_s is None or clock.steady_s() >= self._read_again_at_s

    def _read(self, reached: reached_budgets.ReachedBudgets, now_ms: int) -> None:
        self._periods = {per: budgets.period(per, now_ms) for per in {each.per for each in self._budgets.values()}}
        spent = {per: reached.spent_by_function(period) for per, period in self._periods.items()}
        self._spent = {
            name: sum(spent[each.per].values()) if name == budgets.ALL else spent[each.per].get(name, 0)
            for name, each in self._budgets.items()
        }
        self._known = {(one.function, one.period) for one in reached.reached(now_ms)}
        self._read_again_at_s = clock.steady_s() + _READ_AGAIN_S

    def _add(self, fresh: Mapping[str, int]) -> None:
        for name, pico in (*fresh.items(), (budgets.ALL, sum(fresh.values()))):
            if name in self._spent:
                self._spent[name] += pico

    def _over(self) -> list[str]:
        return [
            name
            for name, each in self._budgets.items()
            if self._spent[name] >= each.amount_pico and (name, self._periods[each.per].name) not in self._known
        ]

    def _judge(self, reached: reached_budgets.ReachedBudgets, name: str, now_ms: int) -> bool:
        """Say that a budget is reached, if the database says so too; whether that stops something."""
        budget, period = self._budgets[name], self._periods[self._budgets[name].per]
        spent = self._spent[name] = reached.spent_pico(name, period)
        # The count in memory was too high: a batch may have been counted that was there already.
        if spent < budget.amount_pico:
            return False
        found = budgets.Reached(
            function=name,
            period=period.name,
            per=budget.per,
            then=budget.then,
            amount_pico=budget.amount_pico,
            spent_pico=spent,
            at_ms=now_ms,
            until_ms=period.until_ms,
        )
        is_first = reached.note(found)
        self._known.add((name, period.name))
        if is_first:
            _say(found)
        return is_first and found.stops(now_ms)


def _say(found: budgets.Reached) -> None:
    amount, spent = billing.decimal(found.amount_pico), billing.decimal(found.spent_pico)
    extra = {"function": found.function, "period": found.period, "amount": amount, "spent": spent, "then": found.then}
    _log.warning("budget_reached", extra=extra)


async def watch(spending: Spending, announce: Callable[[int], Awaitable[None]], stop: asyncio.Event) -> None:
    """Look again and again until ``stop`` is set. ``announce`` tells followers of the catalog; may raise `Unavailable`.

    Whoever misses that looks at the catalog anyway, some seconds later.
    """
    looked_at_s = float("-inf")
    try:
        while not stop.is_set():
            if spending.has_news or clock.steady_s() - looked_at_s >= _IDLE_LOOK_S:
                looked_at_s = clock.steady_s()
                await _look(spending, announce)
            await following.pause(stop, _LOOK_S)
    finally:
        await asyncio.to_thread(spending.close)


async def _look(spending: Spending, announce: Callable[[int], Awaitable[None]]) -> None:
    try:
        version = await asyncio.to_thread(spending.look, clock.now_ms())
        if version is not None:
            await announce(version)
    except errors.Unavailable as error:
        _log.warning("budgets_not_looked_at", extra={"reason": str(error).partition("\n")[0]})
