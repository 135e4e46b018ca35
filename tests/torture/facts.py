"""Collecting, from outside, what the checker judges: ledger file, evidence, counts, containers, files and processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import docker
import msgspec

from faas.cluster import leases
from faas.core import model
from faas.queue import invocations, shipping
from runners.journal import reading
from tests.torture import checker, faults, load, stage

_NEAR_FDS = 80
_FAR = 1 << 62
_NEAR_MB = 64
_ASKED_AT_ONCE = 16
_ASKED = 5_000
_STRAYS = ("sandboxes", "builds", "uploads", "journals")
_FOREVER = {
    "refs", "counts", "held", "synced", "guard", "nodes", "slots", "demand", "records", "runtimes", "format",
    "q", "journals", "chain-secret", "active",
}  # fmt: skip
"""Kinds of keys that stay: counts, guards, and empty streams. Any other must be one that expires."""

_RQS_OWN = ("queues", "workers", "workers:", "finished:", "clean_registries:")
"""RQ's names of the queues and workers that there are, and of jobs that it removes itself."""


class Process(msgspec.Struct, frozen=True):
    """How much one process holds."""

    fds: int
    rss_mb: int


def processes(of: stage.Stage) -> dict[str, Process]:
    """What the processes of a stage hold now."""
    found = {}
    for name, pid in of.processes().items():
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found[name] = Process(len(list(Path(f"/proc/{pid}/fd").iterdir())), pages * 4 // 1024)
    return found


def grown(before: Mapping[str, Process], after: Mapping[str, Process]) -> list[str]:
    """Which processes hold much more than at the start.

    Pools keep some connections, and Redis remembers each uploaded object's version for as long as the object is there.
    """
    lines = []
    for name, now in after.items():
        then = before.get(name, Process(0, 0))
        if now.fds > then.fds + _NEAR_FDS:
            lines.append(f"{name}: {now.fds} descriptors, {then.fds} at the start")
        if now.rss_mb > then.rss_mb + _NEAR_MB:
            lines.append(f"{name}: {now.rss_mb} MB, {then.rss_mb} at the start")
    return lines


async def connect(of: stage.Stage) -> invocations.Queue:
    """The queue of a stage. Raises `errors.Unavailable`."""
    return await invocations.Queue.connect(
        f"unix://{of.platform.data}/redis/redis.sock", stage.SETTINGS["redis_prefix"]
    )


async def unsettled(of: stage.Stage, queue: invocations.Queue) -> int:
    """How many invocations are on their way, and how many records."""
    counts = (await queue.counts()).values()
    on_their_way = sum(each.waiting + each.running + each.retrying for each in counts)
    unshipped = await _unshipped(of.platform.data / "journals", queue)
    return on_their_way + unshipped + int(await queue.link.call("XLEN", queue.keys.records))


async def _unshipped(journals: Path, queue: invocations.Queue) -> int:
    """What is in journals and not in Redis: calls that run, or were lost, and ends that are to be shipped."""
    count = 0
    for folder in journals.iterdir() if journals.is_dir() else ():
        mark = await shipping.mark(queue, folder.name)
        with contextlib.suppress(FileNotFoundError):  # it was shipped to its end meanwhile
            count += len(reading.left(folder, mark).running) + len(reading.ended(folder, mark, _FAR, _FAR))
    return count


async def expiring(queue: invocations.Queue) -> list[str]:
    """Keys of results, answers and replies that are still kept for a while."""
    return [
        key for key in await _keys(queue) if key.split(":")[1] in ("call", "once", "reply", "load", "demanded", "first")
    ]


async def redis_leftovers(queue: invocations.Queue) -> list[str]:
    """Keys that ought to have gone with the work, entries in queues, and nodes that ought to be forgotten."""
    lines = [f"dead node {node}" for node in await leases.dead_nodes(queue)]
    kept = {f"{queue.keys.retrying}:clock"}
    for key in sorted(set(await _keys(queue)) - kept):
        kind = key.split(":")[1]
        if kind == "q" and await queue.link.call("XLEN", key):
            lines.append(f"entries in {key}")
        if key.removeprefix(f"{queue.keys.prefix}:rq:").startswith(_RQS_OWN):
            continue
        if kind not in _FOREVER and await queue.link.call("PTTL", key) == -1:
            lines.append(f"key {key}, which never expires")
    held = await queue.link.call("HGETALL", queue.keys.held)
    shares = await queue.link.call("HGETALL", f"{queue.keys.held}:shares")
    lines += [f"share of {name.decode()}: {count.decode()}" for name, count in _pairs(shares)]
    return lines + [f"held {name.decode()}: {count.decode()}" for name, count in _pairs(held) if count != b"0"]


def _pairs(flat: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


async def _keys(queue: invocations.Queue) -> list[str]:
    cursor, keys = b"0", set()
    while True:
        cursor, page = await queue.link.call("SCAN", cursor, "MATCH", f"{queue.keys.prefix}:*", "COUNT", 1000)
        keys |= {key.decode() for key in page}
        if cursor == b"0":
            return sorted(keys)


class Books(msgspec.Struct, frozen=True):
    """What the ledger file says: records, the attempts and milliseconds of its totals, and the dead letters."""

    attempts: tuple[checker.Attempt, ...]
    totals: tuple[int, int]
    letters: tuple[checker.Run, ...]


def books(data: Path) -> Books:
    """All of it, read in one transaction."""
    with contextlib.closing(sqlite3.connect(f"file:{data}/ledger.db?mode=ro", uri=True)) as ledger:
        ledger.execute("begin")
        rows = [row[0] for row in ledger.execute("select body from records")]
        totals = ledger.execute("select coalesce(sum(count), 0), coalesce(sum(billed_ms), 0) from totals").fetchone()
        letters = [row[0] for row in ledger.execute("select invocation from dead_letters")]
    record, invocation = msgspec.msgpack.Decoder(model.Record), msgspec.msgpack.Decoder(model.Invocation)
    return Books(
        tuple(_attempt(record.decode(row)) for row in rows),
        totals,
        tuple(_letter(invocation.decode(row)) for row in letters),
    )


def is_recorded(data: Path, id: str) -> bool:
    """Whether an invocation is in the ledger file."""
    with contextlib.closing(sqlite3.connect(f"file:{data}/ledger.db?mode=ro", uri=True)) as ledger:
        return ledger.execute("select 1 from records where invocation_id = ?", (id,)).fetchone() is not None


def _attempt(record: model.Record) -> checker.Attempt:
    return checker.Attempt(
        invocation_id=record.invocation_id,
        attempt=record.attempt,
        function=record.function,
        trigger=record.trigger,
        status=str(record.status),
        node=record.node,
        revision=record.revision,
        is_final=record.final,
        is_dead=record.dead,
        is_taken_over=record.error is not None and record.error.type == "Platform.Lost" and not record.sandbox,
        billed_ms=record.billed_ms,
        accepted_at_ms=record.accepted_at_ms,
        started_at_ms=record.started_at_ms,
        ended_at_ms=record.ended_at_ms,
        duration_ms=record.duration_us // 1000,
    )


def _letter(dead: model.Invocation) -> checker.Run:
    event: dict[str, Any] = json.loads(dead.event)
    records = event.get("Records") or [{}]
    return checker.Run(
        invocation_id=dead.id,
        attempt=0,
        function=dead.function,
        due=event.get("time", ""),
        key=records[0].get("s3", {}).get("object", {}).get("key", ""),
    )


def runs(evidence: Path) -> tuple[checker.Run, ...]:
    """What the handlers left: objects ``<invocation id>.<attempt>.<a random name>``."""
    return tuple(_run(path) for path in evidence.iterdir() if not path.name.startswith("."))


def _run(path: Path) -> checker.Run:
    id, attempt, _ = path.name.split(".")
    return checker.Run(invocation_id=id, attempt=int(attempt), **json.loads(path.read_bytes()))


async def unknown(api: str, headers: Mapping[str, str], ids: Iterable[str]) -> tuple[str, ...]:
    """Those of the ids that the control API does not know, or of which it knows no end."""
    waiting, found = iter(list(ids)[:_ASKED]), []

    async def ask(session: aiohttp.ClientSession) -> None:
        for id in waiting:
            async with session.get(f"{api}/api/v1/invocations/{id}", headers=headers) as answer:
                if answer.status != 200 or not (await answer.json())["settled"]:
                    found.append(id)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(_ASKED_AT_ONCE):
            group.create_task(ask(session))
    return tuple(found)


def left_on_disk(of: stage.Stage) -> list[str]:
    """After the end: containers, and what lies in folders whose content goes with its use."""
    with contextlib.closing(docker.DockerClient(of.engine.host)) as client:
        lines = [f"container {each.name} ({each.status}) {each.labels}" for each in faults.containers(client)]
    data = of.platform.data
    folders = [data / name for name in _STRAYS if (data / name).is_dir()]
    lines += [f"{path.relative_to(data)}" for folder in folders for path in folder.iterdir() if not _is_kept(path)]
    return lines + [f"{path.relative_to(data)}" for path in (data / "buckets").rglob(".*") if path.is_file()]


def _is_kept(path: Path) -> bool:
    """The id of the data directory stays; the agent with its bytecode lies there for the next sandbox, once for all."""
    if (path.parent.name, path.name) == ("sandboxes", "id"):
        return True
    return path.name.startswith("agent-") and not path.name.endswith(".making")


async def collect(of: stage.Stage, promises: load.Promises, queue: invocations.Queue) -> checker.Facts:
    """Everything but what the control API says, and what can only be seen after the end."""
    drifts = {ref: counts.drift for ref, counts in (await queue.counts()).items()}
    found = await asyncio.to_thread(books, of.platform.data)
    return checker.Facts(
        accepted=frozenset(promises.accepted),
        cancelled=frozenset(promises.cancelled),
        answered=dict(promises.answered),
        uploaded=frozenset(promises.uploaded),
        wrong=tuple(promises.wrong),
        attempts=found.attempts,
        letters=found.letters,
        totals=found.totals,
        runs=await asyncio.to_thread(runs, of.evidence()),
        drifts=drifts,
        unsettled=await unsettled(of, queue),
        every_s=stage.EVERY_S,
    )
