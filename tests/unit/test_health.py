"""Facts: what one check cannot find out leaves the others as they are, and what is told is decided without I/O."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from faas.core import errors, groups
from faas.core import settings as settings_module
from faas.health import facts, ledger, looks, nodes, queues
from faas.queue import recount

OK, WARNING, FAILED, UNKNOWN = facts.Severity


@pytest.fixture
def settings(tmp_path: Path) -> settings_module.Settings:
    return settings_module.of(data_dir=str(tmp_path))


def fact(name: str, state: facts.Severity = facts.Severity.OK) -> facts.Fact:
    return facts.Fact(name, state, "text")


def fails_midway(_settings: settings_module.Settings) -> Iterator[facts.Fact]:
    yield fact("first")
    raise errors.Unavailable("Redis does not answer", hint="start it")


def breaks(_settings: settings_module.Settings) -> Iterator[facts.Fact]:
    yield fact("first")
    raise ZeroDivisionError("never thought of")


def test_a_warning_is_well_and_what_failed_or_is_unknown_is_not() -> None:
    assert facts.all_is_well([fact("a"), fact("b", WARNING)])
    assert not facts.all_is_well([fact("a"), fact("b", FAILED)])
    assert not facts.all_is_well([fact("a"), fact("b", UNKNOWN)])


def test_what_was_found_before_an_error_stays_and_the_error_is_unknown_with_what_to_do(
    settings: settings_module.Settings,
) -> None:
    assert facts.established(facts.Check("it", fails_midway), settings) == [
        fact("first"), facts.Fact("it", UNKNOWN, "Redis does not answer", "start it"),
    ]  # fmt: skip


def test_a_check_that_breaks_is_unknown_and_hides_no_other(settings: settings_module.Settings) -> None:
    found = facts.established(facts.Check("it", breaks), settings)
    assert [one.state for one in found] == [OK, UNKNOWN]
    assert "ZeroDivisionError" in found[1].text


async def test_facts_keep_the_order_of_their_checks(settings: settings_module.Settings) -> None:
    checks = [facts.Check(name, lambda _, name=name: [fact(name)]) for name in "abcdefgh"]
    assert [one.name for one in await facts.gathered(checks, settings)] == list("abcdefgh")


async def test_a_check_that_hangs_is_unknown_in_the_end(
    settings: settings_module.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "_WITHIN_S", 0.2)
    over = threading.Event()

    def hangs(_settings: settings_module.Settings) -> list[facts.Fact]:
        over.wait(30)
        return []

    found = await facts.gathered([facts.Check("hangs", hangs), facts.Check("a", lambda _: [fact("a")])], settings)
    over.set()
    assert [(one.name, one.state) for one in found] == [("hangs", UNKNOWN), ("a", OK)]


async def test_those_who_ask_at_once_share_one_look_and_who_leaves_ends_it_for_nobody(
    settings: settings_module.Settings,
) -> None:
    begun: list[int] = []
    go = threading.Event()

    def slow(_settings: settings_module.Settings) -> list[facts.Fact]:
        begun.append(1)
        go.wait(30)
        return [fact("slow")]

    check = (facts.Check("slow", slow),)
    shared = looks.Looks(settings, facts.Checks(check, check))
    asking = [asyncio.create_task(shared.look(thorough=False)) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    go.set()
    found = await asyncio.gather(*asking[1:])
    assert len(begun) == 1
    assert set(found) == {(fact("slow"),)}
    await shared.look(thorough=False)
    assert len(begun) == 2


@pytest.mark.parametrize(
    ("counted", "nearly"),
    [((0, 0, 0), False), ((79, 79, 79), False), ((80, 0, 0), True), ((0, 80, 0), True), ((0, 0, 120), True)],
)
def test_bounds_are_nearly_full_when_one_of_them_is(counted: recount.Counted, *, nearly: bool) -> None:
    assert queues.is_nearly_full(counted, (100, 100, 100)) is nearly


def test_a_function_that_no_node_has_the_memory_for_is_named() -> None:
    found = nodes.memory({"small": 128, "large": 512}, [100, 256])
    assert (found.state, "large (512 MB)" in found.text, "small" in found.text) == (FAILED, True, False)
    assert nodes.memory({"small": 128}, [100, 256]).state == OK
    assert nodes.memory({}, [100]).state == OK


def test_a_count_knows_how_much_may_have_left() -> None:
    walked = recount.Walked(entries=10, bytes=1_000, largest=300)
    assert recount.moved(walked, 10) == 0
    assert recount.moved(walked, 8) == 600
    assert recount.moved(walked, 11) is None


@pytest.mark.parametrize("look", [ledger.readable, ledger.whole])
def test_a_ledger_that_is_not_there_yet_is_a_warning_and_is_not_made(
    settings: settings_module.Settings, look: Callable[[groups.Data], Iterable[facts.Fact]]
) -> None:
    assert [one.state for one in look(settings.data)] == [WARNING]
    assert not (settings.data.root / "ledger.db").exists()


def test_a_damaged_ledger_is_found_by_a_thorough_look(settings: settings_module.Settings) -> None:
    (settings.data.root / "ledger.db").write_bytes(b"no database" * 1_000)
    (found,) = ledger.whole(settings.data)
    assert (found.state, "cannot be read" in found.text) == (FAILED, True)
