"""A newer platform starts on what an older one left; an older one refuses what a newer one left, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from faas.core import errors, model
from faas.core import settings as settings_module
from faas.queue import invocations
from faas.store import database, functions
from tests import platform

CONFIG = model.FunctionConfig(runtime="python3", handler="app.handler")


def test_a_database_of_the_first_revision_is_brought_up_and_keeps_what_it_holds(
    settings: settings_module.Settings,
) -> None:
    url = settings.database_url or f"sqlite:///{settings.root / 'ledger.db'}"
    first = sa.create_engine(url)
    database._migrate(first, "0001")
    catalog = functions.Functions(first)
    kept = catalog.add_revision("hello", "a" * 64, CONFIG)
    catalog.activate([kept], [])
    first.dispose()
    opened = database.open_database(settings)
    assert functions.Functions(opened).current("hello") == kept
    assert functions.Functions(opened).catalog_version() == 1
    opened.dispose()


def test_a_database_of_a_later_revision_is_refused(settings: settings_module.Settings) -> None:
    opened = database.open_database(settings)
    with opened.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    opened.dispose()
    with pytest.raises(errors.Conflict, match="revision 9999") as refused:
        database.open_database(settings)
    assert refused.value.exit_code == 5


async def test_a_process_refuses_a_redis_of_a_later_format_in_one_line(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    queue = await invocations.Queue.connect(redis_url, prefix)
    await queue.link.call("SET", queue.keys.format, "99")
    queue.close()
    one = platform.Platform(tmp_path / "data", {"FAAS_REDIS_URL": redis_url, "FAAS_REDIS_PREFIX": prefix})
    done = one.faas("scheduler")
    assert done.returncode == errors.Conflict.exit_code, done.stderr
    assert "Redis holds format 99" in done.stderr
    assert "Traceback" not in done.stderr
