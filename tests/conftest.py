"""What every test may ask for: a real server of the session, keys and a data directory of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from faas.core import settings as settings_module
from faas.valkey import embedded
from tests import postgresql


def pytest_configure() -> None:
    """No setting of the person who runs the tests may reach them, and none may depend on how fast the machine is."""
    # A shell without job control starts what goes to the background with SIGINT ignored, which processes inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("FAAS_")]:
        del os.environ[name]
    hypothesis.settings.register_profile(
        "any speed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("any speed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The same tests hold for every database, and for every Redis that serves."""
    parser.addoption("--database", choices=["sqlite", "postgresql"], default="sqlite", help="what the store is kept in")
    parser.addoption("--redis-server", metavar="PATH", default="", help="a redis-server or valkey-server of one's own")


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[str]:
    """One embedded server for the session (of each xdist worker); keep to keys that start with `prefix`."""
    program = pytestconfig.getoption("--redis-server")
    server = embedded.EmbeddedServer(tmp_path_factory.mktemp("redis"), program=program)
    url = asyncio.run(server.start())
    yield url
    asyncio.run(server.stop())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may write: functions of root's platform without Docker are users of their own."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture
def prefix() -> str:
    """A first part of Redis keys that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[postgresql.Cluster | None]:
    """A PostgreSQL server of the session, when the tests run with ``--database postgresql``."""
    if pytestconfig.getoption("--database") == "sqlite":
        yield None
        return
    with postgresql.cluster() as running:
        yield running


@pytest.fixture
def database_url(cluster: postgresql.Cluster | None) -> Iterator[str]:
    """A database of the test's own; empty is SQLite in the data directory."""
    if cluster is None:
        yield ""
        return
    with cluster.database() as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, redis_url: str, prefix: str, database_url: str) -> settings_module.Settings:
    """Settings with a data directory and a database of the test's own, the session's server and any free ports."""
    root = tmp_path / "data"
    root.mkdir()
    return settings_module.of(
        data_dir=str(root),
        redis_url=redis_url,
        redis_prefix=prefix,
        database_url=database_url,
        port=0,
        api_port=0,
        grace_ms=2_000,
    )
