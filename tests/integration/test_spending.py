"""Budgets that are reached: found from what is recorded, said once, lifted, and gone with their period."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from faas import recorder
from faas.core import clock, errors, model
from faas.core import settings as settings_module
from faas.core.money import budgets
from faas.store import budgets as reached_budgets
from faas.store import database, functions, ledger
from tests import samples
from tests.eventually import eventually

NOW_MS = 1_764_417_600_000  # 2025-11-29T12:00:00Z
MONTH = budgets.period(model.Per.MONTH, NOW_MS)
DAY = budgets.period(model.Per.DAY, NOW_MS)
STOP = {"per": model.Per.MONTH, "then": model.Then.STOP}


class Platform:
    """A ledger, a catalog and the watch over both."""

    def __init__(self, data: Any, of_all: model.CostBudget | None = None) -> None:
        self.engine = database.open_database(data)
        self.store = functions.Functions(self.engine)
        self.reached = reached_budgets.ReachedBudgets(self.engine)
        self.book = ledger.Ledger(self.engine)
        self.spending = recorder.Spending(data, of_all)

    def deploy(self, name: str, budget: model.CostBudget | None) -> None:
        config = model.FunctionConfig(runtime="python3", handler="app.handler", budget=budget)
        self.store.activate([self.store.add_revision(name, "0" * 64, config)], [])

    def record(self, cost_pico: int, function: str = "shop", at_ms: int = NOW_MS) -> None:
        made = [samples.ended(function=function, cost_pico=cost_pico, ended_at_ms=at_ms)]
        self.book.commit(made)
        self.spending.committed(made)

    def stops(self, now_ms: int = NOW_MS) -> set[str]:
        return set(reached_budgets.stops(self.engine, now_ms))

    def look(self, now_ms: int = NOW_MS) -> set[str]:
        """Look, and what is stopped then."""
        self.spending.look(now_ms)
        return self.stops(now_ms)

    def close(self) -> None:
        self.spending.close()
        self.engine.dispose()


@pytest.fixture
def platform(settings: settings_module.Settings) -> Iterator[Platform]:
    made = Platform(settings.data)
    yield made
    made.close()


def budget(amount: int, per: model.Per = model.Per.MONTH, then: model.Then = model.Then.STOP) -> model.CostBudget:
    return model.CostBudget(amount_pico=amount, per=per, then=then)


def test_a_function_is_stopped_when_its_budget_is_reached_and_not_before(platform: Platform) -> None:
    platform.deploy("shop", budget(100))
    platform.deploy("other", budget(100))
    platform.deploy("free", None)
    assert platform.look() == set()
    platform.record(99)
    platform.record(10**9, "free")
    assert platform.look() == set()
    platform.record(1)
    version = platform.store.catalog_version()
    assert platform.spending.look(NOW_MS) == version + 1 == platform.store.catalog_version()
    assert platform.stops() == {"shop"}
    (found,) = platform.reached.reached(NOW_MS)
    assert (found.spent_pico, found.amount_pico, found.period) == (100, 100, "2025-11")
    assert platform.spending.look(NOW_MS) is None


def test_a_warning_stops_nothing_and_is_said_once_a_period(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform.deploy("shop", budget(100, then=model.Then.WARN))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            platform.record(100)
            assert platform.look() == set()
    said = [record for record in caplog.records if record.message == "budget_reached"]
    assert [(record.function, record.period, record.then) for record in said] == [("shop", "2025-11", "warn")]  # type: ignore[attr-defined]


def test_a_stop_ends_with_its_period_and_the_next_one_begins_with_nothing(platform: Platform) -> None:
    platform.deploy("shop", budget(100, model.Per.DAY))
    platform.record(100)
    assert platform.look() == {"shop"}
    assert platform.stops(DAY.until_ms) == set()
    assert platform.look(DAY.until_ms) == set()
    platform.record(100, at_ms=DAY.until_ms + 5)
    assert platform.look(DAY.until_ms + 6) == {"shop"}


def test_days_before_count_for_a_month_and_not_for_a_day(platform: Platform) -> None:
    platform.deploy("a", budget(100))
    platform.deploy("b", budget(100, model.Per.DAY))
    for name in ("a", "b"):
        platform.record(60, name, MONTH.since_ms)
        platform.record(60, name, MONTH.since_ms - 1)
        platform.record(60, name)
    assert platform.look() == {"a"}


def test_all_functions_together_have_a_budget_of_their_own(settings: settings_module.Settings) -> None:
    made = Platform(settings.data, budget(100))
    made.deploy("shop", None)
    made.record(60)
    assert made.look() == set()
    made.record(60, "other")
    assert made.look() == {budgets.ALL}
    made.close()


@pytest.mark.parametrize("changed", [budget(200), budget(100, model.Per.DAY), budget(100, then=model.Then.WARN), None])
def test_a_budget_that_is_raised_or_taken_away_lets_its_function_run(
    platform: Platform, changed: model.CostBudget | None
) -> None:
    platform.deploy("shop", budget(100))
    platform.record(100, at_ms=MONTH.since_ms)
    assert platform.look() == {"shop"}
    platform.deploy("shop", changed)
    version = platform.store.catalog_version()
    assert platform.spending.look(NOW_MS) == version + 1
    assert platform.stops() == set()


def test_a_budget_that_is_deployed_when_it_is_reached_already_stops_at_once(platform: Platform) -> None:
    platform.deploy("shop", None)
    platform.record(100)
    assert platform.look() == set()
    platform.deploy("shop", budget(100))
    assert platform.look() == {"shop"}
    platform.deploy("shop", budget(101))
    assert platform.look() == set()
    platform.record(1)
    assert platform.look() == {"shop"}


def test_what_is_lifted_stays_so_for_its_period_only(platform: Platform) -> None:
    platform.deploy("shop", budget(100, model.Per.DAY))
    assert platform.reached.lift("shop", NOW_MS) == []
    platform.record(100)
    assert platform.look() == {"shop"}
    version = platform.store.catalog_version()
    assert [one.period for one in platform.reached.lift("shop", NOW_MS)] == ["2025-11-29"]
    assert platform.store.catalog_version() == version + 1
    platform.record(100)
    assert platform.look() == set()
    assert platform.reached.lift("shop", NOW_MS) == []
    platform.record(100, at_ms=DAY.until_ms)
    assert platform.look(DAY.until_ms) == {"shop"}


def test_two_recorders_say_it_once_and_count_what_the_other_wrote(
    settings: settings_module.Settings, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Platform(settings.data), Platform(settings.data)
    first.deploy("shop", budget(100))
    assert (first.look(), second.look()) == (set(), set())
    first.record(60)
    second.record(60)
    # Each counted 60 of its own and reads the other's when it reads again, within a minute.
    assert (first.look(), second.look()) == (set(), set())
    second.spending._read_again_at_s = None
    assert (second.look(), first.look()) == ({"shop"}, {"shop"})
    assert len([record for record in caplog.records if record.message == "budget_reached"]) == 1
    first.close()
    second.close()


def test_what_was_counted_twice_stops_nothing(platform: Platform) -> None:
    """A recorder that died before it acknowledged is given a batch again: the ledger has it once."""
    platform.deploy("shop", budget(100))
    assert platform.look() == set()
    made = [samples.ended(function="shop", cost_pico=60, ended_at_ms=NOW_MS)]
    for _ in range(2):
        platform.book.commit(made)
        platform.spending.committed(made)
    assert platform.look() == set()


def test_a_database_that_was_away_loses_no_count(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.deploy("shop", budget(100))
    assert platform.look() == set()
    platform.record(100)

    def away(_self: object) -> int:
        raise errors.Unavailable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(functions.Functions, "catalog_version", away)
        with pytest.raises(errors.Unavailable):
            platform.spending.look(NOW_MS)
    assert platform.look() == {"shop"}


def test_nothing_is_counted_where_there_is_no_budget(platform: Platform) -> None:
    platform.deploy("shop", None)
    assert platform.look() == set()
    platform.record(100)
    assert not platform.spending.has_news


async def test_the_watch_announces_what_it_stops_within_a_second_or_so(platform: Platform) -> None:
    told: list[int] = []

    async def announce(version: int) -> None:
        told.append(version)

    stop = asyncio.Event()
    platform.deploy("shop", budget(100))
    watching = asyncio.create_task(recorder.watch(platform.spending, announce, stop))
    await eventually(lambda: platform.spending._version >= 0, within=5)
    platform.record(100, at_ms=clock.now_ms())
    await eventually(lambda: told == [platform.store.catalog_version()], within=5)
    assert platform.stops(clock.now_ms()) == {"shop"}
    stop.set()
    await watching


def test_rows_of_periods_that_are_over_are_not_read(platform: Platform) -> None:
    for number in range(3):
        platform.reached.note(
            budgets.Reached(
                function="shop", period=str(number), per=model.Per.DAY, then=model.Then.STOP, amount_pico=1,
                spent_pico=1, at_ms=number, until_ms=number + 10,
            )
        )  # fmt: skip
    assert [one.period for one in platform.reached.reached(11)] == ["2"]
    with platform.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM budgets")).scalar() == 3
