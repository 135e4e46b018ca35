"""What people look at, on a ledger that has much in it: seconds of commands and of calls of the control API.

Also what roll-ups cost whoever records: records a second with and without them, with the merging that they entail.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from faas.core import clock, groups, ids
from faas.recorder import rolling_up
from faas.store import database, rolling, writing
from tests import samples
from tests.bench import observe_ledger, peers_home, processes, report, rounds, wanted

DEFAULT_ROWS = 10_000_000
HOME = Path(__file__).parents[2] / ".faas" / "bench-observe"
_FAAS = "faas"
_WITH, _WITHOUT = "with roll-ups", "without"
_BATCH = 2_000
_BATCHES = 110
_TALKED_WITHIN_S = 60
FIGURES = (report.Figure("s", "seconds", 3), report.Figure("per_s", "records/s", 0))


class On:
    """A platform on the large ledger."""

    def __init__(self, root: Path, api: str, token: str) -> None:
        self.root = root
        self._api = api.rstrip("/")
        self._authorization = {"Authorization": f"Bearer {token}"}

    def command(self, *arguments: str) -> bytes:
        """What a command of `faas` prints."""
        env = processes.environ(FAAS_DATA_DIR=str(self.root))
        return processes.output([peers_home.own_command("faas"), *arguments], env=env)

    def get(self, path: str) -> bytes:
        """The body at a path of the control API, below ``/api/v1/``."""
        return processes.get(f"{self._api}/api/v1/{path}", self._authorization)


class Row(NamedTuple):
    """One thing that is looked at. ``look`` is timed from its call to its return."""

    name: str
    look: Callable[[On], object]


ROWS = (
    Row("faas stats --since 30d", lambda on: on.command("stats", "--since", "30d")),
    Row("faas stats --slowest --since 30d", lambda on: on.command("stats", "--slowest", "--since", "30d")),
    Row(
        "faas stats FN --since 30d --every 1h",
        lambda on: on.command("stats", "fn-00000", "--since", "30d", "--every", "1h"),
    ),
    Row("faas stats --since 24h --by all --every 1m", lambda on: on.command("stats", "--by", "all", "--every", "1m")),
    Row("GET stats of an hour", lambda on: on.get("stats?since=1h&sort=errors&limit=50&every=2m&quantiles=false")),
    Row("GET stats by status of 30 days", lambda on: on.get("stats?since=30d&every=1d&by=status")),
    Row("faas ls", lambda on: on.command("ls")),
)
"""What is timed; whatever else is looked at adds its row."""

_CASES = {"5 functions": 5, "10,000 functions": 10_000}
AIMS = (
    *(report.Aim(case=row.name, contender=_FAAS, figure="s", most=1.0) for row in ROWS),
    *(
        report.Aim(case=f"recording, {case}", contender=_WITH, figure="per_s", against=_WITHOUT, least=0.8)
        for case in _CASES
    ),
)


def measure(home: Path, asked: wanted.Wanted, say: Callable[[str], None]) -> list[rounds.Sample]:
    """All samples. To make the ledger takes some minutes, once."""
    rows = asked.rows or DEFAULT_ROWS
    root = HOME / str(rows)
    observe_ledger.ensure(root, rows, say)
    found = []
    say("observe: starting the platform")
    with _platform(root) as on:
        for number in range(asked.rounds):
            for row in ROWS:
                say(f"observe: round {number + 1} of {asked.rounds}, {row.name}")
                found.append(_sample(row.name, _FAAS, number, s=_took_s(lambda: row.look(on))))  # noqa: B023
    for case, functions in _CASES.items():
        for number, name in rounds.turns([_WITH, _WITHOUT], asked.rounds):
            say(f"observe: round {number + 1} of {asked.rounds}, recording {case} {name}")
            per_s = _recorded_per_s(home / f"{functions}-{name}-{number}", functions, has_rollups=name == _WITH)
            found.append(_sample(f"recording, {case}", name, number, per_s=per_s))
    return found


def notes() -> list[str]:
    """Nothing is left out here."""
    return []


def _sample(case: str, contender: str, number: int, **figures: float) -> rounds.Sample:
    return rounds.Sample(case=case, contender=contender, round=number, figures=figures)


def _took_s(work: Callable[[], object]) -> float:
    began_s = time.monotonic()
    work()
    return time.monotonic() - began_s


@contextlib.contextmanager
def _platform(root: Path) -> Iterator[On]:
    """All of it, on the ledger that was made; nothing is past its time."""
    kept = {
        f"FAAS_KEEP_{what}_DAYS": "0" for what in ("RECORDS", "LOGS", "MINUTES", "HOURS", "DEAD_LETTERS", "REVISIONS")
    }
    env = processes.environ(
        FAAS_DATA_DIR=str(root), FAAS_ENGINE="process", FAAS_PORT="0", FAAS_API_PORT="0", FAAS_KEEP_LOGS_MB="0", **kept
    )
    command = [peers_home.own_command("faas"), "up", "--quiet"]
    (root / "platform.json").unlink(missing_ok=True)
    with processes.running(command, root / "up.log", env=env):
        told = processes.until(lambda: _told(root), within_s=_TALKED_WITHIN_S, what="the platform is up")
        yield On(root, told["api"], Path(told["token_file"]).read_text().strip())


def _told(root: Path) -> dict[str, str] | None:
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        told = msgspec.json.decode((root / "platform.json").read_bytes())
        return dict(told) if told.get("api") else None
    return None


class _Without(writing.BatchWriter):
    """Writes what there was before there were roll-ups."""

    def _roll_up(self, connection: sa.Connection, groups: Sequence[writing.RecordGroup]) -> None:
        pass


def _recorded_per_s(home: Path, functions: int, *, has_rollups: bool) -> float:
    """How fast batches are written to a ledger of their own, with what is merged meanwhile."""
    home.mkdir(parents=True)
    engine = database.open_database(groups.Data(data_dir=str(home)))
    writer = writing.BatchWriter(engine) if has_rollups else _Without(engine)
    merger, chance = rolling.Merger(engine), random.Random(1)
    made = [_batch(chance, functions) for _ in range(_BATCHES)]

    def record() -> None:
        for batch in made:
            writer.write(batch, {})
            if has_rollups and rolling_up.is_due(merger.waiting(), 0):
                merger.merge(rolling_up.MOST_GROUPS)
        while has_rollups and merger.merge(rolling_up.MOST_GROUPS):
            pass

    began_s = time.process_time()
    record()
    took_s = time.process_time() - began_s
    engine.dispose()
    return _BATCHES * _BATCH / took_s


def _batch(chance: random.Random, functions: int) -> list[writing.Packed]:
    records = [
        samples.ended(
            invocation_id=ids.new_id(), function=f"fn-{chance.randrange(functions):05d}", ended_at_ms=clock.now_ms(),
            duration_us=int(chance.lognormvariate(9, 1)), queue_ms=chance.randrange(20), logs=(),
        )
        for _ in range(_BATCH)
    ]  # fmt: skip
    return [(record, msgspec.msgpack.encode(record)) for record in records]
