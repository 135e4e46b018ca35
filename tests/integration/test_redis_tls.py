"""Redis by TLS and as a user with few rights: the link, redis-py's clients and RQ, against a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from faas.core import errors
from faas.link import client, connection
from faas.valkey import embedded
from tests import platform, tls

CA = tls.HERE / "ca.pem"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedServer]:
    started = embedded.EmbeddedServer(tmp_path / "redis")
    await started.start()
    yield started
    await started.stop()


async def _by_both(url: str) -> tuple[object, object]:
    """What PING gives over the link, and over redis-py."""
    opened = await connection.Connection.open(url)
    try:
        linked = await opened.call("PING")
    finally:
        opened.close()
    plain = client.connect(url)
    try:
        with client.translated():
            return linked, await plain.ping()
    finally:
        await plain.aclose()


async def test_both_kinds_of_client_speak_tls(server: embedded.EmbeddedServer) -> None:
    async with tls.in_front_of(server.socket_path) as port:
        assert await _by_both(f"rediss://localhost:{port}?ssl_ca_certs={CA}") in [("PONG", True), (b"PONG", True)]


async def test_a_client_certificate_is_shown_to_who_asks_for_one(server: embedded.EmbeddedServer) -> None:
    own = f"&ssl_certfile={tls.HERE}/client.pem&ssl_keyfile={tls.HERE}/client.key"
    async with tls.in_front_of(server.socket_path, asks_for_client=True) as port:
        url = f"rediss://localhost:{port}?ssl_ca_certs={CA}"
        await _by_both(url + own)
        with pytest.raises(errors.Unavailable):
            await _by_both(url)


@pytest.mark.parametrize("query", ["", f"?ssl_ca_certs={tls.HERE}/other.pem"])
async def test_who_cannot_show_a_certificate_that_is_believed_gets_no_password(
    server: embedded.EmbeddedServer, query: str
) -> None:
    async with tls.in_front_of(server.socket_path) as port:
        for opened in (connection.Connection.open, _pinged):
            with pytest.raises(errors.Unavailable, match=r"(?i)certificate"):
                await opened(f"rediss://user:secret@localhost:{port}{query}")


async def test_a_certificate_for_another_name_is_not_believed(server: embedded.EmbeddedServer) -> None:
    async with tls.in_front_of(server.socket_path) as port:
        for opened in (connection.Connection.open, _pinged):
            with pytest.raises(errors.Unavailable, match=r"(?i)certificate|hostname"):
                await opened(f"rediss://127.1:{port}?ssl_ca_certs={CA}")


async def test_plain_words_to_a_port_of_tls_are_refused_in_one_line(server: embedded.EmbeddedServer) -> None:
    async with tls.in_front_of(server.socket_path) as port:
        with pytest.raises(errors.Unavailable):
            await _by_both(f"redis://localhost:{port}")


async def _pinged(url: str) -> None:
    plain = client.connect(url)
    try:
        with client.translated():
            await plain.ping()
    finally:
        await plain.aclose()


def _rules(prefix: str) -> list[str]:
    """The ACL rules of the how-to, as they stand there."""
    page = (Path(__file__).parents[2] / "docs/how-to/redis-and-postgresql.md").read_text()
    found = re.search(r"ACL SETUSER faas on (.*)", page)
    assert found is not None
    words = found[1].replace("faas:", f"{prefix}:").split()
    return [word for word in words if not word.startswith(">")]


async def _user(server: embedded.EmbeddedServer, prefix: str) -> None:
    async with redis.asyncio.from_url(server.url) as admin:
        await admin.execute_command("ACL", "SETUSER", "faas", "on", ">secret", *_rules(prefix))


async def test_who_has_no_rights_is_told_which_page_to_read(server: embedded.EmbeddedServer, prefix: str) -> None:
    await _user(server, prefix)
    async with tls.in_front_of(server.socket_path) as port:
        wrong = f"rediss://faas:wrong@localhost:{port}?ssl_ca_certs={CA}"
        for opened in (connection.Connection.open, _pinged):
            with pytest.raises(errors.Unavailable, match=r"WRONGPASS|invalid username") as caught:
                await opened(wrong)
            assert "redis-and-postgresql" in caught.value.hint
        url = f"rediss://faas:secret@localhost:{port}?ssl_ca_certs={CA}"
        opened_link = await connection.Connection.open(url)
        with pytest.raises(errors.Unavailable, match="NOPERM"):
            await opened_link.call("GET", "somebody-elses")
        with pytest.raises(errors.Unavailable, match="NOPERM"):
            await opened_link.call("FLUSHALL")
        opened_link.close()


async def test_a_platform_runs_by_tls_as_a_user_with_few_rights_and_keeps_to_its_prefix(
    server: embedded.EmbeddedServer, prefix: str, tmp_path: Path
) -> None:
    await _user(server, prefix)
    async with tls.in_front_of(server.socket_path) as port:
        url = f"rediss://faas:secret@localhost:{port}?ssl_ca_certs={CA}"
        await asyncio.to_thread(_deployed_and_called, tmp_path / "data", url, prefix)
    async with redis.asyncio.from_url(server.url) as admin:
        keys = [key.decode() async for key in admin.scan_iter()]
        assert keys
        assert [key for key in keys if not key.startswith(f"{prefix}:")] == []
        refused = await admin.execute_command("ACL", "LOG")
    assert [entry for entry in refused if entry[b"username"] == b"faas"] == []


def _deployed_and_called(data: Path, url: str, prefix: str) -> None:
    project = data.parent / "project"
    files = {
        "faas.yaml": "functions:\n  hello:\n    runtime: python3\n    handler: app.handler\n    source: .\n",
        "app.py": "def handler(event, context):\n    return {'told': event['told']}\n",
    }
    project.mkdir()
    for name, content in files.items():
        (project / name).write_text(content)
    with platform.running(data, engine="process", redis_url=url, redis_prefix=prefix) as running:
        assert running.faas("deploy", str(project)).returncode == 0
        assert running.faas("invoke", "hello", "--data", '{"told": 1}').stdout == '{"told": 1}\n'
        assert running.faas("invoke", "hello", "--async", "--data", '{"told": 1}').returncode == 0
        assert running.faas("doctor").returncode == 0
