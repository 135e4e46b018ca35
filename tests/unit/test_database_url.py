"""Which database a setting names, as whoever offers one writes its URL."""

from __future__ import annotations

import pytest

from faas.core import errors
from faas.store import urls


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (
            "postgresql+psycopg://faas:a%40b@h:5433/x?sslmode=require",
            "postgresql+psycopg://faas:a%40b@h:5433/x?sslmode=require",
        ),
        ("postgres://u:p@h/x", "postgresql+psycopg://u:p@h/x"),
        ("postgresql://u@/x?host=/run/pg", "postgresql+psycopg://u@/x?host=%2Frun%2Fpg"),
        ("sqlite:////srv/faas/ledger.db", "sqlite:////srv/faas/ledger.db"),
    ],
)
def test_a_url_means_a_database(text: str, meant: str) -> None:
    assert urls.read(text).render_as_string(hide_password=False) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mysql://u:secret@h/x", "'mysql'"),
        ("jdbc:postgresql://h/x?password=secret", "no URL"),
        ("postgresql+psycopg2://u:secret@h/x", "'postgresql+psycopg2'"),
        ("postgresql+asyncpg://u:secret@h/x", "'postgresql+asyncpg'"),
        ("u:secret@h/x", "no URL"),
        ("h:5432/x", "no URL"),
        ("${DATABASE_URL}", "no URL"),
        ("postgresql://u:sec@ret@h/x", "%40"),
        ("postgresql://u:secret@h:port/x", "no URL"),
        ("sqlite:///ledger.db", "slash"),
        ("sqlite://", "slash"),
        ("sqlite:///:memory:", "slash"),
        ("redis://h", "'redis'"),
    ],
)
def test_what_names_none_is_refused_without_its_password(text: str, why: str) -> None:
    with pytest.raises(errors.BadRequest, match="database_url cannot be used") as caught:
        urls.read(text)
    assert why in caught.value.message
    assert "sec" not in caught.value.message and "ret" not in caught.value.message
