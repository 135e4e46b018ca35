"""Collecting, from outside, what the checker judges: ledger file, evidence, counts, containers, files and processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import docker
import msgspec

from faas.core import model
from faas.queue import invocations, leases
from tests.torture import checker, faults, load, stage

_NEAR_FDS = 60
_NEAR_MB = 60
_STRAYS = ("sandboxes", "builds", "uploads")


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


def grown(before: dict[str, Process], after: dict[str, Process]) -> list[str]:
    """Which processes hold much more than at the start. Redis keeps what is counted and guarded, and is left out."""
    lines = []
    for name, now in after.items():
        then = before.get(name)
        if then is None or name == "redis":
            continue
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


async def unsettled(queue: invocations.Queue) -> int:
    """How many invocations are on their way, and how many records."""
    counts = (await queue.counts()).values()
    on_their_way = sum(each.waiting + each.running for each in counts)
    return on_their_way + int(await queue.link.call("XLEN", queue.keys.records))


async def redis_leftovers(queue: invocations.Queue) -> list[str]:
    """Keys that ought to have gone with the work, and nodes that ought to be forgotten."""
    lines = [f"dead node {node}" for node in await leases.dead_nodes(queue)]
    cursor, keys = "0", []
    while True:
        cursor, page = await queue.link.call("SCAN", cursor, "MATCH", f"{queue.keys.prefix}:*", "COUNT", 1000)
        keys += [key.decode() for key in page]
        if cursor == b"0":
            break
    for key in sorted(set(keys)):
        kind = key.split(":")[1]
        if kind in ("running", "unreadable", "retrying"):
            lines.append(f"key {key}")
        if kind == "q" and await queue.link.call("XLEN", key):
            lines.append(f"entries in {key}")
        if kind in ("reply", "slots", "node", "load", "demanded") and await queue.link.call("PTTL", key) == -1:
            lines.append(f"key {key}, which never expires")
    return lines


def attempts(data: Path) -> tuple[tuple[checker.Attempt, ...], tuple[int, int]]:
    """All records of the ledger file, and the attempts and milliseconds of its totals."""
    with contextlib.closing(sqlite3.connect(f"file:{data}/ledger.db?mode=ro", uri=True)) as ledger:
        rows = [row[0] for row in ledger.execute("select body from records")]
        count, billed = ledger.execute(
            "select coalesce(sum(count), 0), coalesce(sum(billed_ms), 0) from totals"
        ).fetchone()
    decoder = msgspec.msgpack.Decoder(model.Record)
    return tuple(_attempt(decoder.decode(row)) for row in rows), (count, billed)


def _attempt(record: model.Record) -> checker.Attempt:
    return checker.Attempt(
        invocation_id=record.invocation_id,
        attempt=record.attempt,
        function=record.function,
        trigger=record.trigger,
        status=str(record.status),
        is_final=record.final,
        billed_ms=record.billed_ms,
        accepted_at_ms=record.accepted_at_ms,
        ended_at_ms=record.ended_at_ms,
        duration_ms=record.duration_us // 1000,
    )


def runs(evidence: Path) -> tuple[checker.Run, ...]:
    """What the handlers left."""
    return tuple(
        checker.Run(path.parent.name, **json.loads(path.read_text()))
        for path in evidence.glob("*/*")
        if not path.name.startswith(".")
    )


def left_on_disk(of: stage.Stage) -> list[str]:
    """After the end: containers, and what lies in folders whose content goes with its use."""
    with contextlib.closing(docker.from_env()) as client:
        lines = [f"container {each.name}" for each in faults.containers(client, of)]
    data = of.platform.data
    folders = [data / name for name in _STRAYS if (data / name).is_dir()]
    lines += [f"{path.relative_to(data)}" for folder in folders for path in folder.iterdir() if not _is_kept(path)]
    return lines + [f"{path.relative_to(data)}" for path in (data / "buckets").rglob(".*") if path.is_file()]


def _is_kept(path: Path) -> bool:
    """The agent with its bytecode lies there for the next sandbox, once for all."""
    return path.name.startswith("agent-") and not path.name.endswith(".making")


async def collect(of: stage.Stage, promises: load.Promises, queue: invocations.Queue) -> checker.Facts:
    """Everything but what can only be seen after the end."""
    drifts = {ref: counts.drift for ref, counts in (await queue.counts()).items()}
    # The totals and the records are read in one go; timers go on, so what is under way right now is let settle first.
    found, totals = await asyncio.to_thread(attempts, of.platform.data)
    return checker.Facts(
        accepted=frozenset(promises.accepted),
        answered=dict(promises.answered),
        uploaded=frozenset(promises.uploaded),
        attempts=found,
        runs=runs(of.evidence()),
        totals=totals,
        drifts=drifts,
        unsettled=await unsettled(queue),
        every_s=stage.EVERY_S,
    )
