"""What a running attempt asks of the buckets that its revision declares: objects, commits, lists, deletions.

One request is served at a time. Objects being written stay with the runner until they are committed, discarded, or
the attempt is over; descriptors for reading only pass through. To a sandbox that no descriptor can be passed to, and
that asks for bytes in pieces, what it reads stays with the runner too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent import futures

import msgspec

from faas import buckets as buckets_module
from faas.core import clock, errors, model
from runners.sandbox import frames, held, spool

Find = Callable[[str], buckets_module.Bucket | None]

MAX_BEING_WRITTEN = MAX_BEING_READ = 64
# One for the node: each thread that works on a huge bucket keeps the event loop from running for some milliseconds.
# After each page it rests for as long as that took: who lists without end takes no more than half of the time.
_LISTING = futures.ThreadPoolExecutor(1, thread_name_prefix="listing")
_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True):
    """What goes back. ``descriptor`` is passed along; it is closed after that when ``passing``."""

    header: frames.Opened | frames.Done
    body: bytes = b""
    descriptor: int | None = None
    passing: bool = False

    def let_go(self) -> None:
        """Close the descriptor that only passes through."""
        if self.passing and self.descriptor is not None:
            os.close(self.descriptor)


class Objects:
    """The buckets of one sandbox, as its revision may use them."""

    def __init__(self, find: Find, most_bytes: int, *, in_pieces: bool = False) -> None:
        """``in_pieces`` is for a sandbox on another machine; it may write objects of at most so many bytes."""
        self._find = find
        self._most_bytes = most_bytes
        self._in_pieces = in_pieces
        self._declared: Mapping[str, model.Access] = {}
        self._writing: held.HeldThings[spool.Spool] = held.HeldThings("written", MAX_BEING_WRITTEN)
        self._reading: held.HeldThings[buckets_module.Reading] = held.HeldThings("read", MAX_BEING_READ)
        # Most functions ask for nothing: their attempts end without a look at what is open.
        self._has_asked = False
        self._invocation: model.Invocation | None = None

    def declare(self, declared: Mapping[str, model.Access]) -> None:
        """Say which buckets the loaded revision may use."""
        self._declared = declared

    def begin_attempt(self, invocation: model.Invocation) -> None:
        """Say what runs, and how deep in a chain: what it writes carries that on."""
        self._invocation = invocation

    def end_attempt(self) -> None:
        """Close what the attempt left open; a request that is still being served closes its own when it is done."""
        if self._has_asked:
            self._writing.end_attempt()
            self._reading.end_attempt()
            self._has_asked = False

    async def serve(self, request: frames.Request, body: bytes = b"") -> Answer | None:
        """The answer, or None where the protocol has none. Never raises for what the sandbox asks."""
        self._has_asked = True
        try:
            if isinstance(request, frames.Open):
                return await self._open(request)
            if isinstance(request, frames.Discard):
                self._discard(request)
                return None
            return Answer(frames.Done(request.n), body=await self._done(request, body))
        except held.Refused as refusal:
            return _refusal(request, refusal.code, refusal.message)
        except errors.FaasError as error:
            return _refusal(request, _code(error), error.message)

    async def _open(self, request: frames.Open) -> Answer:
        writes = _is_write(request.mode)
        bucket = self._bucket(request.bucket, write=writes)
        if writes:
            writing = await self._writing.open(request.n, lambda: spool.Spool.begin(bucket, request.key))
            # What is written to comes back in pieces here, to the same spool whose descriptor is passed elsewhere.
            if self._in_pieces:
                return Answer(frames.Opened(request.n, size=0))
            return Answer(frames.Opened(request.n), descriptor=writing.descriptor)
        if self._in_pieces:
            reading = await self._reading.open(request.n, lambda: bucket.open(request.key))
            return Answer(frames.Opened(request.n, size=reading.object().size))
        descriptor = await asyncio.to_thread(spool.open_object, bucket, request.key)
        return Answer(frames.Opened(request.n), descriptor=descriptor, passing=True)

    async def _done(
        self, request: frames.Read | frames.Write | frames.Commit | frames.List | frames.Delete, body: bytes
    ) -> bytes:
        """Do it; the body of the answer."""
        if isinstance(request, frames.Read):
            return await self._read(request)
        if isinstance(request, frames.List):
            return await self._list(request)
        if isinstance(request, frames.Write):
            await self._write(request, body)
        elif isinstance(request, frames.Commit):
            await asyncio.to_thread(self._writing.pop(request.n).commit, self._writer())
        else:
            await asyncio.to_thread(self._bucket(request.bucket, write=True).delete, request.key)
        return b""

    async def _read(self, request: frames.Read) -> bytes:
        async with self._reading.taken(request.of) as reading:
            # A sandbox may ask for terabytes; the answer is one piece at most, and says by its length how much it is.
            return await asyncio.to_thread(reading.read, request.offset, min(request.size, frames.PIECE_BYTES))

    async def _write(self, request: frames.Write, body: bytes) -> None:
        if request.offset + len(body) > self._most_bytes:
            raise held.Refused("TooLarge", f"an object may have at most {self._most_bytes} bytes")
        async with self._writing.taken(request.of) as writing:
            await asyncio.to_thread(writing.write_at, request.offset, body)

    def _writer(self) -> buckets_module.Writer:
        return buckets_module.Writer.of(self._invocation)

    def _discard(self, request: frames.Discard) -> None:
        for kind in (self._writing, self._reading):
            with contextlib.suppress(held.Refused):
                kind.pop(request.n).close()

    async def _list(self, request: frames.List) -> bytes:
        bucket = self._bucket(request.bucket, write=False)
        limit = min(request.limit, buckets_module.PAGE)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_LISTING, _listed, bucket, request.prefix, request.after, limit)

    def _bucket(self, name: str, *, write: bool) -> buckets_module.Bucket:
        # What is not declared is denied before it is known whether there is such a bucket: names of others are not
        # told.
        access = self._declared.get(name)
        if access is None:
            raise held.Refused("Denied", f"the function does not declare bucket {name[:80]!r}")
        if write and access is not model.Access.WRITE:
            raise held.Refused("Denied", f"the function declares bucket {name!r} for reading only")
        bucket = self._find(name)
        if bucket is None:
            raise held.Refused("NotFound", f"there is no bucket {name!r}")
        return bucket


def _listed(bucket: buckets_module.Bucket, prefix: str, after: str, limit: int) -> bytes:
    begun = clock.steady_s()
    found = bucket.list(prefix, after, limit)
    listed = _encode([{"key": item.key, "size": item.size, "modified_ms": item.modified_ms} for item in found])
    # It waits in the queue of the one thread that lists, so that this answer is not later for it.
    _LISTING.submit(time.sleep, clock.steady_s() - begun)
    return listed


def _is_write(mode: str) -> bool:
    if mode not in ("r", "w"):
        raise held.Refused("Failed", f"mode {mode[:10]!r} is neither r nor w")
    return mode == "w"


def _code(error: errors.FaasError) -> str:
    if isinstance(error, errors.NotFound):
        return "NotFound"
    return "BadKey" if isinstance(error, errors.BadRequest) else "Failed"


def _refusal(request: frames.Request, code: str, message: str) -> Answer:
    if isinstance(request, frames.Open):
        return Answer(frames.Opened(request.n, code, message))
    return Answer(frames.Done(request.n, code, message))
