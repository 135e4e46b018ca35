"""The embedded server as a real process: what it keeps, what it refuses, and that it never outlives its parent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from faas.cli import platform_logs
from faas.core import errors
from faas.valkey import append_only, embedded, rewriting
from tests import preload, small_disk
from tests.eventually import eventually, eventually_sync

_LOG_BYTES = 10 * 1024 * 1024


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[embedded.EmbeddedServer]:
    server = embedded.EmbeddedServer(tmp_path / "redis")
    yield server
    await server.stop()


async def _set(url: str, key: str, value: str) -> None:
    async with redis.asyncio.from_url(url) as client:
        await client.set(key, value)


async def _get(url: str, key: str) -> bytes | None:
    async with redis.asyncio.from_url(url) as client:
        return await client.get(key)


async def test_it_listens_on_its_socket_only_and_for_its_user_only(server: embedded.EmbeddedServer) -> None:
    url = await server.start()
    async with redis.asyncio.from_url(url) as client:
        config = await client.config_get("port", "appendonly", "appendfsync", "maxmemory-policy", "save")
    assert config == {
        "port": "0", "appendonly": "yes", "appendfsync": "no", "maxmemory-policy": "noeviction", "save": "",
    }  # fmt: skip
    assert stat.S_IMODE((server.folder / "redis.sock").stat().st_mode) == 0o700
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


async def test_what_was_written_is_there_after_a_clean_stop(server: embedded.EmbeddedServer) -> None:
    await _set(await server.start(), "key", "kept")
    await server.stop()
    assert await _get(await server.start(), "key") == b"kept"
    assert b"ready to exit, bye" in (server.folder / "redis.log").read_bytes()


async def test_what_was_written_is_there_after_a_kill_and_the_url_stays(server: embedded.EmbeddedServer) -> None:
    url = await server.start()
    await _set(url, "key", "kept")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert await server.exited() == -signal.SIGKILL
    assert await server.start() == url
    assert await _get(url, "key") == b"kept"


@pytest.mark.parametrize("name", ["x" * 200, "with space & %41", "ümläut"])
async def test_a_folder_that_no_socket_address_can_hold_works_too(tmp_path: Path, name: str) -> None:
    server = embedded.EmbeddedServer(tmp_path / name / "redis")
    try:
        url = await server.start()
        assert len(url) < 100
        await _set(url, "key", "value")
        assert await _get(url, "key") == b"value"
    finally:
        await server.stop()


@pytest.fixture
def slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts from now on needs a second and a half for each sync of a file."""
    monkeypatch.setenv("LD_PRELOAD", str(preload.compiled("slow_sync.c", tmp_path)))
    monkeypatch.setenv("TEST_SYNC_MS", "1500")


@pytest.mark.usefixtures("slow_disk")
@pytest.mark.parametrize("for_s", [1.4, 1.7, 2.0, 2.3])
async def test_what_was_acknowledged_while_the_disk_was_slow_is_there_after_a_kill(
    server: embedded.EmbeddedServer, for_s: float
) -> None:
    url = await server.start()
    acknowledged = await asyncio.to_thread(_count_and_kill, server, for_s)
    await server.exited()
    await server.start()
    assert int(await _get(url, "count") or 0) == acknowledged


def _count_and_kill(server: embedded.EmbeddedServer, for_s: float) -> int:
    until = time.monotonic() + for_s
    with redis.Redis.from_url(server.url) as client:
        while time.monotonic() < until:
            count = client.incr("count")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
    return int(count)


async def test_the_append_only_file_is_brought_to_the_disk_by_who_keeps_the_server(
    server: embedded.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk has cannot be seen from here; that the file is synced, by name and again and again, can."""
    synced: list[str] = []
    sync = os.fdatasync

    def note(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", note)
    await server.start()
    await eventually(lambda: synced.count(str(_commands(server))) > 1)
    await server.stop()
    ended = len(synced)
    await asyncio.sleep(1.5)
    assert len(synced) == ended


async def test_a_second_server_in_one_folder_is_refused(server: embedded.EmbeddedServer) -> None:
    await server.start()
    second = embedded.EmbeddedServer(server.folder, lock_within_s=0.1)
    with pytest.raises(errors.Conflict, match=f"process {os.getpid()}"):
        await second.start()
    assert await _get(server.url, "key") is None


async def test_a_missing_binary_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="nowhere is no executable file"):
        await embedded.EmbeddedServer(tmp_path, program=str(tmp_path / "nowhere")).start()


async def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(errors.Unavailable, match=r"cannot use .*/file/redis: Not a directory"):
        await embedded.EmbeddedServer(tmp_path / "file" / "redis").start()


async def test_a_damaged_append_only_file_says_how_to_mend_it(server: embedded.EmbeddedServer) -> None:
    await _set(await server.start(), "key", "value")
    await server.stop()
    (server.folder / "appendonlydir" / "appendonly.aof.1.incr.aof").write_bytes(b"this is no append-only file\r\n" * 9)
    with pytest.raises(errors.Unavailable) as caught:
        await server.start()
    assert "valkey-check-aof" in caught.value.hint
    assert "Bad file format" in caught.value.message
    assert server.pid is None


def _commands(server: embedded.EmbeddedServer) -> Path:
    return server.folder / "appendonlydir" / "appendonly.aof.1.incr.aof"


@pytest.mark.parametrize("zeros", [1, 15, 5_000_000])
async def test_zeros_that_a_full_disk_left_in_the_append_only_file_are_cut_out_and_nothing_is_lost(
    server: embedded.EmbeddedServer, zeros: int
) -> None:
    async with redis.asyncio.from_url(await server.start()) as client:
        for number in range(50):
            await client.incrby("sum", number)
            await client.set(f"binary {number}", bytes(number))
    await server.stop()
    whole = _commands(server).read_bytes()
    at = whole.index(b"*3\r\n$6\r\nINCRBY", len(whole) // 2)
    _commands(server).write_bytes(whole[:at] + bytes(zeros) + whole[at:])
    async with redis.asyncio.from_url(await server.start()) as client:
        assert await client.get("sum") == str(sum(range(50))).encode()
        assert await client.get("binary 49") == bytes(49)
    assert _commands(server).read_bytes() == whole


async def test_a_transaction_that_zeros_cut_off_is_cut_out_whole_and_all_after_it_is_kept(
    server: embedded.EmbeddedServer,
) -> None:
    async with redis.asyncio.from_url(await server.start()) as client:
        for number in range(9):
            async with client.pipeline(transaction=True) as transaction:
                await transaction.incrby("one", 1).incrby("other", 1).set("last", number).execute()
    await server.stop()
    whole = _commands(server).read_bytes()
    start = whole.index(b"*1\r\n$5\r\nMULTI", len(whole) // 2)
    cut = whole.index(b"other", start)
    end = whole.index(b"*1\r\n$5\r\nMULTI", cut)
    _commands(server).write_bytes(whole[:cut] + bytes(700) + whole[end:])
    async with redis.asyncio.from_url(await server.start()) as client:
        assert [await client.get(key) for key in ("one", "other", "last")] == [b"8", b"8", b"8"]


@pytest.mark.parametrize("is_kept_whole", [False, True])
async def test_a_server_whose_disk_was_full_after_a_rewrite_and_that_was_killed_comes_back(
    tmp_path: Path, is_kept_whole: bool
) -> None:
    """Valkey leaves zeros in its file then, which are mended at the next start or, better, rewritten before."""
    with small_disk.mounted(tmp_path / "disk", 40) as disk:
        server = embedded.EmbeddedServer(disk / "redis")
        url = await server.start()
        keeper = asyncio.create_task(rewriting.keep_whole(url, server.folder))
        async with redis.asyncio.from_url(url) as client:
            if not is_kept_whole:
                keeper.cancel()
            await client.bgrewriteaof()
            await eventually(lambda: _rewrites(client, 1), within=30)
            await client.set("large", "x" * 1_000_000)
            with small_disk.filled(disk):
                counted = await _count_until_it_is_full(client)
            await eventually(lambda: _is_written(client), within=30)
            assert append_only.gaps(_last_commands(server).read_bytes()) or is_kept_whole
            if is_kept_whole:
                await eventually(lambda: _rewrites(client, 2), within=30)
                assert not append_only.gaps(_last_commands(server).read_bytes())
        keeper.cancel()
        os.kill(server.pid or 0, signal.SIGKILL)
        await server.exited()
        await server.stop()
        async with redis.asyncio.from_url(await server.start()) as client:
            assert [await client.get(key) for key in ("counted", "after")] == [str(counted).encode(), b"1"]
        await server.stop()


async def test_a_server_whose_files_are_whole_is_left_alone(server: embedded.EmbeddedServer) -> None:
    for _ in ("in a folder of its first start, and after a rewrite", "of a later start, and after a rewrite"):
        url = await server.start()
        async with redis.asyncio.from_url(url) as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.2):  # two looks
                    await rewriting.keep_whole(url, server.folder)
            assert (await client.info("persistence"))["aof_rewrites"] == 0
            await _rewrite_and_write_meanwhile(client)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.2):
                    await rewriting.keep_whole(url, server.folder)
            assert (await client.info("persistence"))["aof_rewrites"] == 1
        await server.stop()


async def _rewrite_and_write_meanwhile(client: redis.asyncio.Redis) -> None:
    await client.mset({f"key {number}": number for number in range(100)})
    await client.config_set("rdb-key-save-delay", 1_000)  # microseconds
    await client.bgrewriteaof()
    while not await _rewrites(client, 1):
        await client.incr("counted")


async def _rewrites(client: redis.asyncio.Redis, number: int) -> bool:
    told = await client.info("persistence")
    return bool(told["aof_rewrite_in_progress"] == 0 and told["aof_rewrites"] >= number)


async def _count_until_it_is_full(client: redis.asyncio.Redis) -> int:
    with contextlib.suppress(redis.exceptions.ResponseError):
        while True:
            await client.incrby("counted", 1)
            await client.set("large", "x" * 10_000)
    return int(await client.get("counted"))


def _last_commands(server: embedded.EmbeddedServer) -> Path:
    return append_only.files(server.folder, "i")[-1]


async def _is_written(client: redis.asyncio.Redis) -> bool:
    with contextlib.suppress(redis.exceptions.ResponseError):
        return bool(await client.set("after", "1"))
    return False


@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_rewrite_that_a_killed_server_had_begun_holds_up_nobody_and_leaves_nothing(
    server: embedded.EmbeddedServer, is_ours: bool
) -> None:
    async with redis.asyncio.from_url(await server.start()) as client:
        await client.config_set("rdb-key-save-delay", 60_000)  # microseconds: a minute in all
        for number in range(1_000):
            await client.set(str(number), number)
        await client.bgrewriteaof()
        await eventually(lambda: list(server.folder.glob("temp-rewriteaof-*")), within=30)
    os.kill(server.pid or 0, signal.SIGKILL)
    await server.exited()
    if not is_ours:
        await server.stop()
        server = embedded.EmbeddedServer(server.folder)
    async with redis.asyncio.from_url(await server.start()) as client:
        assert await client.dbsize() == 1_000
        assert not list(server.folder.glob("temp-*"))
    await server.stop()


async def test_a_log_that_grew_large_is_set_aside_while_the_server_goes_on_writing_to_it(
    server: embedded.EmbeddedServer,
) -> None:
    url, log = await server.start(), server.folder / "redis.log"
    with log.open("ab") as grown:
        grown.write(b"x" * _LOG_BYTES)
    platform_logs.look([server.folder], _LOG_BYTES)
    assert log.stat().st_size < 1024 * 1024
    assert (server.folder / "redis.log.1").stat().st_size > _LOG_BYTES
    async with redis.asyncio.from_url(url) as client:
        await client.bgrewriteaof()
    await eventually(lambda: b"append only file" in log.read_bytes())
    assert b"\0" not in log.read_bytes()


async def test_a_full_disk_is_said_at_start(tmp_path: Path) -> None:
    script = f"mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c '{_START_IN}' {tmp_path}/redis"
    done = await asyncio.create_subprocess_exec(
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, stdout=subprocess.PIPE
    )
    out, _ = await done.communicate()
    assert "No space left on device" in out.decode()
    assert "free some space" in out.decode()


_START_IN = """
import asyncio, pathlib, sys
from faas.core import errors
from faas.valkey import append_only, embedded, rewriting
try:
    asyncio.run(embedded.EmbeddedServer(pathlib.Path(sys.argv[1])).start())
except errors.Unavailable as error:
    print(error.message, error.hint)
"""

_PARENT = """
import asyncio, pathlib, sys
from faas.valkey import append_only, embedded, rewriting
server = embedded.EmbeddedServer(pathlib.Path(sys.argv[1]))
asyncio.run(server.start())
print(server.pid, flush=True)
sys.stdin.read()
"""


def _orphan_of_a_killed_parent(folder: Path) -> int:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.kill()
    return orphan


async def test_it_dies_with_its_parent_and_frees_its_folder(server: embedded.EmbeddedServer) -> None:
    orphan = _orphan_of_a_killed_parent(server.folder)
    await eventually(lambda: not Path(f"/proc/{orphan}").exists())
    await server.start()


def test_it_serves_code_without_an_event_loop_of_its_own(redis_url: str, prefix: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"{prefix}:key", "value")
        assert eventually_sync(lambda: client.get(f"{prefix}:key")) == b"value"
