"""What stands in Redis: entries that another version, or another user of the same server, may have written."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from faas.builds import jobs
from faas.cluster import catalog, demand, watch
from faas.core import errors, model
from faas.core.calls import lineage
from faas.queue import batches, destined, invocations
from tests import samples
from tests.fuzz import edge, trees

_INVOCATION = model.Invocation(
    id="0190b5a0-0000-7000-8000-000000000001",
    function="f",
    revision=1,
    trigger="http",
    mode=model.Mode.SYNC,
    event=b"{}",
    accepted_at_ms=1,
)
_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.decode


class EntryEdge(edge.Edge):
    """Each reader of entries is given each input. What cannot be read is set aside or refused, and stops nobody."""

    name = "entries"
    most_bytes = 20_000
    made_anew = 0.7
    tokens = (
        b"\xc0",
        b"\xff",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 2_000,
        b"\xa1a",
        b"\x80",
    )

    def seeds(self) -> Iterable[bytes]:
        """What the platform writes itself."""
        record = samples.record(_INVOCATION, model.Status.ERROR, dead=True)
        yield _pack(_INVOCATION)
        yield _pack(record)
        yield _pack([record, record])
        yield _pack(model.Outcome(record=record, body=b"1"))
        yield _pack(demand.LoadReport(ok=True, init_us=1))
        yield _pack(destined.settled(record, model.Condition.RETRIES_EXHAUSTED, b""))

    def make(self, chance: random.Random) -> bytes:
        """One of them, with another structure."""
        seed = chance.choice(list(self.seeds()))
        made = trees.changed(chance, _plain(_unpack(seed)), ("f", "http", "sync", "async", 1, 2, b"{}"))
        with contextlib.suppress(OverflowError, msgspec.MsgspecError, UnicodeEncodeError):
            return _pack(made)
        return seed[: chance.randrange(len(seed))]

    async def attempt(self, given: bytes) -> str:
        """Hand it to every reader."""
        return " ".join(f"{name}:{_read(reader, given)}" for name, reader in _READERS.items())


def _claims(given: bytes) -> Any:
    return invocations.claims([[b"1-0", [b"i", given]]])


def _records(given: bytes) -> Any:
    batch = batches.Batch()
    try:
        batch.add(b"1-0", [b"r", given, b"i", given])
    except batches.Unreadable:
        return None
    return batch


def _many_records(given: bytes) -> Any:
    batch = batches.Batch()
    try:
        batch.add(b"1-0", [b"b", given])
    except batches.Unreadable as unreadable:
        for half in unreadable.halves:
            _unpack(half, type=list[msgspec.Raw])
        return None
    return batch


def _demand(given: bytes) -> Any:
    name, _, value = given.partition(b"=")
    return demand._request(b"1-0", {b"ref": given, b"why": b"load", name: value})


def _job(given: bytes) -> Any:
    try:
        return jobs.believed("0190b5a0-0000-7000-8000-000000000001", {b"data": given, b"meta": given, b"status": given})
    except (ValueError, LookupError, TypeError, RecursionError):  # what `jobs.BuildJob` takes for no job of ours
        return None


_READERS: dict[str, Callable[[bytes], Any]] = {
    "claims": _claims, "record": _records, "records": _many_records, "demand": _demand, "job": _job,
    "state": lambda given: catalog._state(given), "watch": lambda given: watch._has_ended(given),
    "chain": lambda given: lineage.depth_of(given),
}  # fmt: skip


def _read(reader: Callable[[bytes], Any], given: bytes) -> str:
    try:
        return type(reader(given)).__name__
    except errors.FaasError as refused:
        return type(refused).__name__


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
