"""What every sink of records promises, whatever it keeps them in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from faas import recorder
from faas.core import errors, groups, model
from faas.core import settings as settings_module
from faas.queue import batches
from faas.recorder import ledger as ledger_sink
from faas.recorder import otlp
from faas.store import database, ledger
from tests import collector, lines_sink, samples

Key = tuple[str, int]


class Place(Protocol):
    """What a sink writes to, seen from outside."""

    def sink(self) -> recorder.Sink:
        """A sink, as after a start of the recorder."""

    def keys(self) -> list[Key]:
        """The records that are there."""

    def away(self) -> contextlib.AbstractContextManager[None]:
        """It cannot be written to meanwhile."""


class LedgerPlace:
    def __init__(self, settings: settings_module.Settings, _path: Path) -> None:
        self._settings = settings

    def sink(self) -> recorder.Sink:
        return ledger_sink.LedgerSink(self._settings.data)

    def keys(self) -> list[Key]:
        engine = database.open_database(self._settings.data)
        book = ledger.Ledger(engine)
        found = book.find(limit=100_000)
        assert sum(line.count for line in book.bill(0, "function")) == len(found)
        engine.dispose()
        return [(record.invocation_id, record.attempt) for record in found]

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        engine = database.open_database(self._settings.data)
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE records RENAME TO away")
        yield
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO records")
        engine.dispose()


class LinesPlace:
    def __init__(self, _settings: settings_module.Settings, path: Path) -> None:
        self._path = path / "records.ndjson"

    def sink(self) -> recorder.Sink:
        return lines_sink.LinesSink(self._path)

    def keys(self) -> list[Key]:
        return lines_sink.LinesSink(self._path).keys()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        aside = self._path.with_suffix(".aside")
        if self._path.exists():
            self._path.rename(aside)
        self._path.mkdir()
        yield
        self._path.rmdir()
        if aside.exists():
            aside.rename(self._path)


class OtlpPlace:
    """A collector, which knows spans that come again by their ids."""

    def __init__(self, _settings: settings_module.Settings, _path: Path) -> None:
        self._open = contextlib.ExitStack()
        self._collector = self._open.enter_context(collector.listening())

    def sink(self) -> recorder.Sink:
        return otlp.OtlpSink(groups.Telemetry(otlp_endpoint=self._collector.url))

    def keys(self) -> list[Key]:
        named = map(collector.attributes, self._collector.spans().values())
        return [(each["faas.invocation_id"], each["faas.attempt"]) for each in named if "faas.attempt" in each]

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self._collector.status = 503
        yield
        self._collector.status = 200

    def close(self) -> None:
        self._open.close()


@pytest.fixture(params=[LedgerPlace, LinesPlace, OtlpPlace], ids=["ledger", "lines", "otlp"])
def place(request: pytest.FixtureRequest, settings: settings_module.Settings, tmp_path: Path) -> Iterator[Place]:
    make: Callable[[settings_module.Settings, Path], Place] = request.param
    made = make(settings, tmp_path)
    yield made
    if isinstance(made, OtlpPlace):
        made.close()


def batch(records: Sequence[model.Record]) -> batches.Batch:
    """Records as one entry brings them."""
    made = batches.Batch()
    made.add(b"1-1", (b"b", msgspec.msgpack.encode(list(records))))
    return made


def ended(count: int) -> list[model.Record]:
    return [samples.ended() for _ in range(count)]


def keys_of(records: Sequence[model.Record]) -> list[Key]:
    return sorted((record.invocation_id, record.attempt) for record in records)


@contextlib.contextmanager
def opened(place: Place) -> Iterator[recorder.Sink]:
    sink = place.sink()
    sink.open()
    yield sink
    sink.close()


def test_what_is_committed_is_there(place: Place) -> None:
    records = ended(50)
    with opened(place) as sink:
        sink.commit(batch(records))
        assert sorted(place.keys()) == keys_of(records)


def test_what_a_sandbox_printed_between_attempts_is_no_record(place: Place) -> None:
    made = batch(ended(1))
    printed = model.Printed(function="f", revision=1, invocation_id="i", attempt=1, lines=(model.LogLine(5, "late"),))
    made.add(b"1-2", (b"o", msgspec.msgpack.encode(printed)))
    with opened(place) as sink:
        sink.commit(made)
        assert sorted(place.keys()) == keys_of(made.records)


def test_a_batch_of_none_is_nothing(place: Place) -> None:
    with opened(place) as sink:
        sink.commit(batch([]))
    assert place.keys() == []


def test_what_is_given_again_changes_nothing_alone_or_among_others(place: Place) -> None:
    records = ended(30)
    with opened(place) as sink:
        sink.commit(batch(records[:10]))
        sink.commit(batch(records[:10]))
        sink.commit(batch([*records[20:], *records[:20]]))
    assert sorted(place.keys()) == keys_of(records)


def test_what_one_recorder_committed_the_next_is_given_again_and_changes_nothing(place: Place) -> None:
    records = ended(20)
    with opened(place) as sink:
        sink.commit(batch(records[:15]))
    with opened(place) as sink:
        sink.commit(batch(records))
    assert sorted(place.keys()) == keys_of(records)


def test_attempts_of_one_invocation_are_records_of_their_own(place: Place) -> None:
    first = samples.ended()
    second = msgspec.structs.replace(first, attempt=first.attempt + 1)
    with opened(place) as sink:
        sink.commit(batch([first, second]))
    assert sorted(place.keys()) == keys_of([first, second])


def test_while_its_place_is_away_it_says_so_and_goes_on_afterwards(place: Place) -> None:
    before, after = ended(5), ended(5)
    with opened(place) as sink:
        sink.commit(batch(before))
        with place.away():
            for _ in range(2):
                with pytest.raises(errors.Unavailable):
                    sink.commit(batch(after))
        sink.commit(batch(after))
    assert sorted(place.keys()) == keys_of([*before, *after])


def test_it_can_be_opened_and_closed_twice(place: Place) -> None:
    sink = place.sink()
    for _ in range(2):
        sink.open()
        sink.open()
        sink.commit(batch(ended(1)))
        sink.close()
        sink.close()
    assert len(place.keys()) == 2
