"""Alarms over a real database and a real queue: once per interval, told once, whoever looks and wherever it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from faas import alerts, delivery
from faas.alerts import gathering, own_file, watching
from faas.core import clock, errors, model
from faas.core import settings as settings_module
from faas.health import checks, looks
from faas.queue import inlet, invocations, outbox
from faas.store import alarm_changes, alarms, database, functions, ledger
from faas.store import undelivered as undelivered_store
from tests import receiver, samples
from tests.eventually import eventually

STEP_S = 15
HOOK = "http://127.0.0.1:9/hook"


class Bench:
    """A platform's database and queue, with a clock of the test's own that begins now."""

    def __init__(self, settings: settings_module.Settings, queue: invocations.Queue) -> None:
        self.settings = settings_module.changed(settings, destination_secret=receiver.SECRET)
        self.queue = queue
        self.engine = database.open_database(settings.data)
        self.store = alarms.Alarms(self.engine)
        self.functions = functions.Functions(self.engine)
        self.ledger = ledger.Ledger(self.engine)
        self.at_ms = clock.now_ms() // 60_000 * 60_000

    def deploy(self, name: str) -> None:
        config = model.FunctionConfig(runtime="python3", handler="app.handler")
        self.functions.activate([self.functions.add_revision(name, "0" * 64, config)], [])

    def declare(self, *declared: model.Alarm, kind: alarms.AlarmKind = alarms.AlarmKind.FUNCTION) -> None:
        found = tuple(alarms.Declared(alarm=each, kind=kind, declared_at_ms=self.at_ms) for each in declared)
        self.functions.activate([], [], alarm_changes.AlarmChanges(declared=found))

    def remove(self, *names: str) -> None:
        self.functions.activate([], [], alarm_changes.AlarmChanges(removed=names))

    def ran(self, count: int, status: model.Status = model.Status.OK, function: str = "hello") -> None:
        """So many attempts end now."""
        self.ledger.commit(
            [samples.ended(function=function, status=status, ended_at_ms=self.at_ms) for _ in range(count)]
        )

    def watcher(self, **changes: Any) -> watching.AlarmWatcher:
        """One more scheduler's."""
        settings = settings_module.changed(self.settings, **changes)
        door = inlet.Inlet(self.queue)
        platform = looks.Looks(settings, checks.CHECKS)
        gatherer = gathering.Gatherer(settings.data, door, self.engine, platform)
        return watching.AlarmWatcher(settings.data, settings.alarms, self.engine, gatherer, door, lambda: self.at_ms)

    async def looks(self, watcher: watching.AlarmWatcher, count: int, **ran: int) -> list[str]:
        """The states of the only alarm after so many intervals, in each of which the function ran well or not."""
        found = []
        for _ in range(count):
            self.at_ms += STEP_S * 1_000
            self.ran(ran.get("ok", 0))
            self.ran(ran.get("bad", 0), model.Status.ERROR)
            assert await watcher.look()
            found += [standing.state.value for standing in self.store.standings()]
        return found

    async def posted(self) -> list[Any]:
        """The messages in outboxes."""
        found: list[Any] = []
        for box in await outbox.lengths(self.queue):
            held = await self.queue.link.call("XRANGE", self.queue.keys.outbox(box.ref, box.way), "-", "+")
            found += [json.loads(delivered(fields).body) for _, fields in held]
        return found


def delivered(fields: list[bytes]) -> delivery.Message:
    return outbox._message(dict(zip(fields[::2], fields[1::2], strict=True))[b"m"])


def alarm(rule: str = "error_rate > 5% for 30s hold 15s", **given: Any) -> model.Alarm:
    given = {"name": "hello.errors", "function": "hello", "notify": (model.ToUrl(url=HOOK),), **given}
    return model.Alarm(rule=rule, **given)


@pytest.fixture
async def bench(settings: settings_module.Settings) -> AsyncIterator[Bench]:
    queue = await invocations.Queue.connect(settings.redis.redis_url, settings.redis.redis_prefix)
    opened = Bench(settings, queue)
    opened.deploy("hello")
    yield opened
    queue.close()
    opened.engine.dispose()


async def test_an_alarm_lives_from_its_first_look_to_its_end_and_tells_of_both_ends_once(bench: Bench) -> None:
    bench.declare(alarm())
    watcher = bench.watcher()
    assert await bench.looks(watcher, 1) == ["no_data"]
    assert await bench.looks(watcher, 2, ok=10) == ["ok", "ok"]
    assert await bench.looks(watcher, 4, bad=20) == ["pending", "pending", "firing", "firing"]
    assert bench.store.firing() == {"hello": 1}
    # What failed is no longer in the minutes that the figure is taken from.
    ended = await bench.looks(watcher, 12, ok=10)
    assert ended[-1] == "resolved"
    told = await bench.posted()
    assert [each["kind"] for each in told] == ["firing", "resolved"]
    assert told[0]["alarm"] == "hello.errors"
    assert "attempts within 1m" in told[0]["text"]
    became = [event.became.value for _, event in reversed(bench.store.history("hello.errors", 10))]
    assert became == ["pending", "firing", "resolved"]
    assert bench.store.messages(10) == []


async def test_two_schedulers_make_one_look_an_interval_and_tell_once(bench: Bench) -> None:
    bench.declare(alarm("errors > 5"))
    watchers = [bench.watcher() for _ in range(4)]
    for _ in range(5):
        bench.at_ms += STEP_S * 1_000
        bench.ran(10, model.Status.ERROR)
        before = bench.store.last()[0]
        made = await asyncio.gather(*(watcher.look() for watcher in watchers))
        assert sum(made) == 1
        assert bench.store.last()[0] == before + 1
    assert [each["kind"] for each in await bench.posted()] == ["firing"]


async def test_a_look_that_another_came_before_changes_nothing(bench: Bench) -> None:
    bench.declare(alarm("errors > 5"))
    bench.ran(10, model.Status.ERROR)
    begun = bench.store.begin()
    standing = alarms.Standing(alarm="hello.errors", function="hello", state=model.AlarmState.FIRING, since_ms=1)
    message = alarms.AlarmMessage(id="1", place=0, to=model.ToLog(), body=b"{}")
    outcome = alarms.LookOutcome(standings=(standing,), messages=(message,))
    assert bench.store.commit(begun, 1, bench.at_ms, alarms.LookOutcome())
    assert not bench.store.commit(begun, 1, bench.at_ms, outcome)
    assert (bench.store.standings(), bench.store.messages(1)) == ([], [])
    # What is declared in between makes it look again, and not write what it found of before.
    begun = bench.store.begin()
    bench.remove("hello.errors")
    assert not bench.store.commit(begun, 2, bench.at_ms, outcome)


class Killed(BaseException):
    """A process that ends where it is."""


@pytest.mark.parametrize("where", ["before the commit", "after the commit", "after the post"])
async def test_wherever_a_scheduler_is_killed_it_is_told_once_and_not_lost(
    bench: Bench, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.declare(alarm("errors > 5"))
    bench.ran(10, model.Status.ERROR)

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        if where == "before the commit":
            patched.setattr(alarms.Alarms, "commit", die)
        elif where == "after the commit":
            patched.setattr(watching.AlarmWatcher, "_posted", die)
        else:
            patched.setattr(alarms.Alarms, "told", die)
        await bench.watcher().look()
    other = bench.watcher()
    for _ in range(3):
        bench.at_ms += STEP_S * 1_000
        await other.turn()
    assert [each["kind"] for each in await bench.posted()] == ["firing"]
    assert bench.store.messages(10) == []


async def test_while_redis_is_away_nothing_is_lost_and_its_figures_are_said_to_be_unknown(bench: Bench) -> None:
    bench.declare(alarm("errors > 5"), alarm("waiting > 0", name="hello.waits", notify=()))
    bench.ran(10, model.Status.ERROR)
    watcher = bench.watcher()

    async def away(_: object) -> Any:
        raise errors.Unavailable("Redis is away")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inlet.Inlet, "call", lambda _, command: away(command))
        await watcher.turn()
        states = {standing.alarm: standing for standing in bench.store.standings()}
        assert states["hello.errors"].state is model.AlarmState.FIRING
        assert states["hello.waits"].state is model.AlarmState.NO_DATA
        assert "Redis is away" in states["hello.waits"].text
        assert len(bench.store.messages(10)) == 1
        # What waits to be told holds up no look.
        bench.at_ms += STEP_S * 1_000
        await watcher.turn()
        assert {standing.at_ms for standing in bench.store.standings()} == {bench.at_ms}
    await watcher.turn()
    assert [each["kind"] for each in await bench.posted()] == ["firing"]


async def test_hundreds_of_messages_leave_in_one_turn_but_for_what_a_place_does_not_take(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [model.ToUrl(url=f"{HOOK}/{n % 2}") for n in range(250)]
    made = [
        alarms.AlarmMessage(id=f"{n:04}", place=0, to=to, body=b'{"kind": "firing"}') for n, to in enumerate(places)
    ]
    bench.store.commit(bench.store.begin(), 1, bench.at_ms, alarms.LookOutcome(messages=tuple(made)))
    await bench.watcher().turn()
    assert len(await bench.posted()) == 250
    bench.store.commit(bench.store.begin(), 2, bench.at_ms, alarms.LookOutcome(messages=tuple(made[:2])))
    post = delivery.post

    async def full(queue: invocations.Queue, message: delivery.Message, to: model.Destination) -> bool:
        if to == places[0]:
            raise errors.Throttled("10000 messages wait for one destination")
        return await post(queue, message, to)

    monkeypatch.setattr(delivery, "post", full)
    await bench.watcher().turn()
    assert [message.to for message in bench.store.messages(10)] == [places[0]]


async def test_a_clock_that_was_set_back_holds_up_the_looks_for_two_intervals_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.declare(alarm("errors > 5"))
    watcher = bench.watcher()
    assert await watcher.look()
    steady = clock.steady_s()
    monkeypatch.setattr(clock, "steady_s", lambda: steady)
    bench.at_ms -= 3_600_000
    assert not await watcher.look()
    steady += 2 * STEP_S - 1
    assert not await watcher.look()
    steady += 2
    assert await watcher.look()
    assert not await watcher.look(), "once in an interval, here too"
    bench.at_ms += STEP_S * 1_000
    assert await watcher.look()


async def test_a_deploy_that_changes_the_condition_begins_anew_and_one_that_changes_who_is_told_does_not(
    bench: Bench,
) -> None:
    bench.declare(alarm("errors > 5"))
    bench.ran(10, model.Status.ERROR)
    await bench.watcher().look()
    (before,) = bench.store.standings()
    bench.declare(alarm("errors > 5", notify=(model.ToLog(),)))
    assert bench.store.standings() == [before]
    bench.declare(alarm("errors > 6"))
    assert bench.store.standings() == []


async def test_a_function_that_ends_takes_its_alarms_along(bench: Bench) -> None:
    bench.deploy("other")
    bench.declare(alarm())
    bench.declare(
        model.Alarm(name="both", rule="errors > 5", functions=("hello", "other")), kind=alarms.AlarmKind.PROJECT
    )
    bench.declare(model.Alarm(name="each", rule="errors > 5", each=True), kind=alarms.AlarmKind.PLATFORM)
    bench.ran(10, model.Status.ERROR)
    await bench.watcher().look()
    assert {standing.key for standing in bench.store.standings()} == {
        ("hello.errors", "hello"), ("both", ""), ("each", "hello")
    }  # fmt: skip
    bench.functions.remove("hello")
    assert [each.alarm.name for each in bench.store.declared()] == ["both", "each"]
    assert {standing.key for standing in bench.store.standings()} == {("both", "")}
    bench.functions.remove("other")
    assert [each.alarm.name for each in bench.store.declared()] == ["each"]


async def test_a_silent_alarm_tells_nothing_and_an_ended_silence_is_forgotten(bench: Bench) -> None:
    bench.declare(alarm("errors > 5"))
    bench.store.silence(("hello.errors", ""), bench.at_ms + 20_000, bench.at_ms)
    watcher = bench.watcher()
    assert await bench.looks(watcher, 1, bad=10) == ["firing"]
    assert await bench.posted() == []
    assert await bench.looks(watcher, 1, bad=10) == ["firing"]
    assert [each["kind"] for each in await bench.posted()] == ["firing"]
    assert bench.store.silences() == {}
    bench.store.silence(("hello.errors", "hello"), bench.at_ms + 20_000, bench.at_ms)
    bench.store.silence(("hello.errors", ""), None, bench.at_ms)
    assert bench.store.silences() == {}
    assert [event.text for _, event in bench.store.history("hello.errors", 2)] == ["told again", "silent for 20s"]


async def test_dead_letters_and_all_functions_together(bench: Bench) -> None:
    bench.declare(
        model.Alarm(name="dead", rule="dead_letters > 0 over 1h", functions=("hello",)),
        model.Alarm(name="all", rule="count >= 3"),
        model.Alarm(name="each", rule="count >= 2", each=True),
        kind=alarms.AlarmKind.PROJECT,
    )
    bench.ran(1)
    bench.ran(2, function="other")
    died = samples.ended(ended_at_ms=bench.at_ms, status=model.Status.ERROR, dead=True)
    bench.ledger.commit([died], letters={(died.invocation_id, 1): b"\x80"})
    await bench.watcher().look()
    found = {standing.alarm: (standing.state.value, standing.text) for standing in bench.store.standings()}
    assert found == {
        "dead": ("firing", "dead_letters is 1 (within 1h)"),
        "all": ("firing", "count is 4 (within 1m)"),
        "each": ("firing", "count of hello is 2 (within 1m)"),
    }


async def test_history_is_kept_for_its_time(bench: Bench) -> None:
    bench.declare(alarm("errors > 5"))
    watcher = bench.watcher(keep_alarm_history_days=1)
    await bench.looks(watcher, 1, bad=10)
    assert len(bench.store.history("hello.errors", 10)) == 1
    bench.at_ms += 2 * 86_400_000
    await bench.watcher(keep_alarm_history_days=0).turn()
    assert len(bench.store.history("hello.errors", 10)) == 1
    await watcher.turn()
    assert [event.became.value for _, event in bench.store.history("hello.errors", 10)] == []


def log_lines(caplog: pytest.LogCaptureFixture, action: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == action]


async def test_an_alarm_that_tells_the_log_is_a_line_in_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.declare(alarm("errors > 5", notify=(model.ToLog(),)))
    bench.ran(10, model.Status.ERROR)
    await bench.watcher().look()
    (line,) = log_lines(caplog, "alarm_told")
    assert json.loads(line.__dict__["body"])["kind"] == "firing"
    assert line.__dict__["text"].startswith("FIRING: hello.errors: errors of hello is 10")
    assert bench.store.messages(1) == []


@pytest.fixture
def own(bench: Bench) -> Iterator[own_file.OwnFile]:
    yield own_file.OwnFile(bench.settings.data, bench.engine)


def write(bench: Bench, text: str) -> Path:
    path = bench.settings.data.root / own_file.FILE_NAME
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.write_text(text)
    return path


async def test_the_platforms_own_alarms_follow_their_file(bench: Bench, own: own_file.OwnFile) -> None:
    own.follow()
    assert bench.store.declared() == ()
    path = write(bench, "alarms:\n  room: {rule: disk > 99%}\n  all: {rule: errors > 5}\n")
    own.follow()
    assert [(each.alarm.name, each.kind.value) for each in bench.store.declared()] == [
        ("all", "platform"), ("room", "platform")
    ]  # fmt: skip
    write(bench, "alarms:\n  room: {rule: disk > 98%}\n")
    own.follow()
    assert [each.alarm.rule for each in bench.store.declared()] == ["disk > 98%"]
    path.unlink()
    own_file.OwnFile(bench.settings.data, bench.engine).follow()
    assert bench.store.declared() == ()


async def test_a_file_with_faults_changes_nothing_and_is_told_of(bench: Bench, own: own_file.OwnFile) -> None:
    write(bench, "alarms:\n  room: {rule: disk > 99%}\n")
    own.follow()
    write(bench, "alarms:\n  room: {rule: disk > lots}\n")
    own.follow()
    assert [each.alarm.rule for each in bench.store.declared()] == ["disk > 99%"]
    assert "alarms.yaml:2:16: alarms.room.rule" in bench.store.watch().file.fault
    write(bench, "alarms:\n  room: {rule: disk > 99%}\n")
    own.follow()
    assert bench.store.watch().file.fault == ""


async def test_a_name_that_a_manifest_has_is_left_to_it(bench: Bench, own: own_file.OwnFile) -> None:
    bench.declare(model.Alarm(name="room", rule="errors > 1", functions=("hello",)), kind=alarms.AlarmKind.PROJECT)
    write(bench, "alarms:\n  room: {rule: disk > 99%}\n  all: {rule: errors > 5}\n")
    own.follow()
    assert {each.alarm.name: each.alarm.rule for each in bench.store.declared()} == {
        "room": "errors > 1", "all": "errors > 5"
    }  # fmt: skip


async def test_another_machines_file_does_not_fight_with_the_one_in_force(
    bench: Bench, own: own_file.OwnFile, tmp_path: Path
) -> None:
    write(bench, "alarms:\n  room: {rule: disk > 99%}\n")
    own.follow()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / own_file.FILE_NAME).write_text("alarms:\n  theirs: {rule: disk > 1%}\n")
    data = settings_module.changed(bench.settings, data_dir=str(elsewhere)).data
    own_file.OwnFile(data, bench.engine).follow()
    assert [each.alarm.name for each in bench.store.declared()] == ["room"]
    write(bench, "alarms: {}\n")
    own.follow()
    own_file.OwnFile(data, bench.engine).follow()
    assert [each.alarm.name for each in bench.store.declared()] == ["theirs"]


async def test_what_it_tells_arrives_at_a_webhook_signed(bench: Bench) -> None:
    async with receiver.receiving() as hook:
        bench.declare(alarm("errors > 5", notify=(model.ToUrl(url=hook.url),)))
        bench.ran(10, model.Status.ERROR)
        given_up = undelivered_store.UndeliveredRecords(bench.engine)
        stop = asyncio.Event()
        settings = settings_module.changed(bench.settings, alarm_interval_s=1)
        platform = looks.Looks(settings, checks.CHECKS)
        async with asyncio.TaskGroup() as running:
            running.create_task(delivery.run(settings, bench.queue, bench.functions, given_up, stop))
            for _ in range(2):
                running.create_task(
                    alerts.run(settings.data, settings.alarms, bench.queue, bench.engine, platform, stop)
                )
            await eventually(lambda: hook.received, within=20)
            serial = bench.store.last()[0]
            await eventually(lambda: bench.store.last()[0] >= serial + 2, within=20)
            stop.set()
        assert hook.unsigned == 0
        assert [one.record["kind"] for one in hook.received] == ["firing"]
