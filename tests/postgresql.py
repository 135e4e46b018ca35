"""A PostgreSQL cluster of the tests' own: made, started and ended here, on a Unix socket in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from tests.eventually import eventually_sync

_NOBODY = "nobody"


class Cluster:
    """A running server. ``url`` names one of its databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://faas@/{name}?host={self.folder}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """A database that no other test has, by its URL."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        yield self.url(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run a statement outside of any transaction."""
        engine = sa.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with contextlib.closing(engine.connect()) as connection:
            connection.execute(sa.text(statement))
        engine.dispose()

    def answers(self) -> bool:
        """Whether it takes connections yet."""
        try:
            self.execute("SELECT 1")
        except sa.exc.OperationalError:
            return False
        return True


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Make and run a cluster as a user who is not root, which PostgreSQL refuses to be."""
    folder = Path(tempfile.mkdtemp(prefix="faas-pg-", dir="/tmp"))  # a socket's address is short
    user = pwd.getpwnam(_NOBODY).pw_uid if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, user, -1)
    try:
        with _running(folder, user):
            yield Cluster(folder)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _running(folder: Path, user: int | None) -> Iterator[None]:
    binaries, data = _binaries(), folder / "data"
    initdb = [binaries / "initdb", "--pgdata", data, "--username=faas", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, user=user, stdout=subprocess.DEVNULL, cwd=folder)
    options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum=off"]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", folder, *options], user=user, stdout=log, stderr=log, cwd=folder
        )
    try:
        eventually_sync(Cluster(folder).answers, within=60)
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        Path(log.name).unlink()


def _binaries() -> Path:
    """Where Debian's packages put them, or the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    assert on_path is not None, "no PostgreSQL: `apt-get install postgresql`"
    return Path(on_path).resolve().parent
