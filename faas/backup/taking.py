"""Taking a backup: all of it as it was at one moment, while the platform goes on.

::

    hand-offs that have ended ──shipped──► Redis          waited for: their journals need no copy then
    ledger locked for writing                             recorders wait, some milliseconds
        a reader of the ledger begins                     it sees this moment, however long it reads
        Redis forks (BGSAVE)                              its child sees this moment, however long it writes
    ledger let go
    ledger, queue, artifacts ──► one file ──renamed──► there

So a record is in the ledger, or in Redis on its way there, or in both, where a recorder had committed it and not
said so: then it comes again, and the ledger knows it by its key. None is in neither, and none of an invocation that
the queue does not know. When the platform does not run, its files are copied as they lie.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO

import msgspec
import redis as redis_py
import sqlalchemy as sa

from faas.backup import archive, staging
from faas.core import clock, errors, groups
from faas.store import copying, database, turns
from faas.valkey import saving

QUEUE, LEDGER, BUCKETS = "queue", "ledger", "buckets"
_TURN_WITHIN_S = 60.0
_CUT_WITHIN_S = 120.0
_AGAIN_S = 0.1


class BackupSource(msgspec.Struct, frozen=True, kw_only=True):
    """Whose backup is taken. ``redis_url`` is empty when the platform does not run, and nobody may start it then."""

    data: groups.Data
    redis_url: str = ""
    left_out: Sequence[str] = (BUCKETS,)

    @property
    def root(self) -> Path:
        """Its data directory."""
        return self.data.root

    def has(self, what: str) -> bool:
        """Whether it is to be in the backup."""
        return what not in self.left_out


def take(
    source: BackupSource, file: Path, shipped: Callable[[], None], told: Callable[[str], None] = lambda text: None
) -> archive.Manifest:
    """Take one; it appears as ``file`` when it is whole. ``shipped`` waits until what has ended is in Redis.

    Raises `errors.Conflict` when the file is there already or another backup is under way, and `errors.Unavailable`
    when a disk is full, or Redis or the database is away: nothing is left of it then.
    """
    if file.exists():
        raise errors.Conflict(
            f"{file} is there already", hint="name another file, or a folder for a name with the time"
        )
    with _alone(source.root), staging.beside(file) as folder:
        made = folder / "made.tar"
        with _nothing_removed(source), _private(made) as written:
            manifest = _write(source, archive.BackupWriter(written), folder, shipped, told)
            written.flush()
            staging.sync_file(written)
        staging.publish(made, file)
    return manifest


def _private(path: Path) -> IO[bytes]:
    """A new file that nobody else may read, whatever the umask: secrets go into it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _write(
    source: BackupSource,
    writer: archive.BackupWriter,
    folder: Path,
    shipped: Callable[[], None],
    told: Callable[[str], None],
) -> archive.Manifest:
    if source.redis_url and source.has(QUEUE):
        shipped()
    with contextlib.ExitStack() as held:
        cut, saved = _moment(source, held)
        taken_at_ms = clock.now_ms()
        digests = _every_artifact(source.root) if cut is None else sorted(cut.artifacts())
        if cut is not None:
            told("copying the ledger")
            cut.copy(folder / "ledger.db")
        if saved is not None:
            told("copying the queue")
            writer.add(saving.BASE, saved.finish())
            for name, content in saving.REST.items():
                writer.add_bytes(name, content)
    if cut is not None:
        writer.add("ledger.db", folder / "ledger.db")
    if not source.redis_url and source.has(QUEUE):
        _add_as_they_lie(source.root, writer)
    told(f"copying {len(digests)} artifacts")
    _add_artifacts(source, writer, digests, is_named=cut is not None)
    for name in archive.FILES:
        if (source.root / name).is_file():
            writer.add(name, source.root / name)
    return writer.finish(metadata.version("faas"), taken_at_ms, tuple(source.left_out))


def _moment(source: BackupSource, held: contextlib.ExitStack) -> tuple[copying.LedgerCut | None, saving.Saving | None]:
    """Hold the moment of ledger and queue until ``held`` ends."""
    engine = _ledger(source, held)
    saved = _redis(source, held)
    until = clock.steady_s() + _CUT_WITHIN_S
    while True:
        with contextlib.ExitStack() as trying:
            cut = None if engine is None else trying.enter_context(copying.LedgerCut(engine))
            if saved is None or saved.begin():
                if cut is not None:
                    cut.let_write()
                held.push(trying.pop_all())
                return cut, saved
        # Redis rewrites its file. The ledger is let go while that is waited for.
        if clock.steady_s() > until:
            raise errors.Unavailable("Redis rewrites its file, and does not come to an end", hint="try again later")
        time.sleep(_AGAIN_S)


def _ledger(source: BackupSource, held: contextlib.ExitStack) -> sa.Engine | None:
    if not source.has(LEDGER):
        return None
    engine = database.as_it_is(source.data)
    held.callback(engine.dispose)
    if engine.dialect.name != "sqlite":
        raise errors.Conflict(
            "the ledger is in PostgreSQL, and a backup cannot hold it",
            hint="add --without-ledger, and use pg_dump afterwards (docs/how-to/backup.md)",
        )
    return engine


def _redis(source: BackupSource, held: contextlib.ExitStack) -> saving.Saving | None:
    if not source.redis_url or not source.has(QUEUE):
        return None
    client = held.enter_context(redis_py.Redis.from_url(source.redis_url, socket_timeout=30))
    saved = saving.Saving(client, source.root / "redis")
    saved.require_own()
    held.callback(saved.forget)
    return saved


def _add_as_they_lie(root: Path, writer: archive.BackupWriter) -> None:
    """Add the files of a server and of journals that nobody writes."""
    for pattern in ("redis/appendonlydir/*", "journals/*/*"):
        for path in sorted(root.glob(pattern)):
            if path.is_file() and archive.is_name(name := path.relative_to(root).as_posix()):
                writer.add(name, path)


def _every_artifact(root: Path) -> list[str]:
    return sorted(path.stem for path in (root / "artifacts").glob("*.tar") if not path.name.startswith("."))


def _add_artifacts(
    source: BackupSource, writer: archive.BackupWriter, digests: Sequence[str], *, is_named: bool
) -> None:
    for digest in digests:
        try:
            writer.add(f"artifacts/{digest}.tar", source.root / "artifacts" / f"{digest}.tar")
        except FileNotFoundError as error:
            # Where the catalog is elsewhere, all are copied that are there, and one may go meanwhile.
            if is_named:
                why = f"the artifact {digest[:12]}… is missing"
                raise errors.Unavailable(why, hint="`faas doctor` says more; deploy its function again") from error


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One backup of a data directory at a time: each has the server write the same file."""
    with (root / "backup.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise errors.Conflict(f"another backup of {root} is under way", hint="wait for it to end") from error
        yield


@contextlib.contextmanager
def _nothing_removed(source: BackupSource) -> Iterator[None]:
    """Keep the job away that removes what is past its time: artifacts that the copy names have to be there."""
    if not source.has(LEDGER):
        yield
        return
    engine = database.as_it_is(source.data)
    until = clock.steady_s() + _TURN_WITHIN_S
    try:
        while True:
            with turns.retention(engine, source.root) as is_ours:
                if is_ours:
                    yield
                    return
            if clock.steady_s() > until:
                raise errors.Unavailable("much is being removed just now", hint="try again in some minutes")
            time.sleep(_AGAIN_S)
    finally:
        engine.dispose()
