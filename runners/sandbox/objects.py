"""What a running attempt asks of the buckets that its revision declares: descriptors, commits, lists, deletions.

One request is served at a time. Objects being written stay with the runner until they are committed, discarded, or
the attempt is over; descriptors for reading only pass through.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent import futures

import msgspec

from faas import buckets as buckets_module
from faas.core import errors, model
from runners.sandbox import frames, spool

Find = Callable[[str], buckets_module.Bucket | None]

MAX_BEING_WRITTEN = 64
# One for the node: each thread that works on a huge bucket keeps the event loop from running for some milliseconds.
_LISTING = futures.ThreadPoolExecutor(1, thread_name_prefix="listing")
_encode = msgspec.json.Encoder().encode


class Refused(Exception):
    """A request that is answered with an error: one of the protocol's codes, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


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

    def __init__(self, find: Find) -> None:
        self._find = find
        self._declared: Mapping[str, model.Access] = {}
        self._writing: dict[int, spool.Spool] = {}
        self._attempt = 0
        self._invocation: model.Invocation | None = None

    def declare(self, declared: Mapping[str, model.Access]) -> None:
        """Say which buckets the loaded revision may use."""
        self._declared = declared

    def begin_attempt(self, invocation: model.Invocation) -> None:
        """Say what runs, and how deep in a chain: what it writes carries that on."""
        self._invocation = invocation

    def end_attempt(self) -> None:
        """Close what the attempt left open; a request that is still being served closes its own when it is done."""
        self._attempt += 1
        if self._writing:
            for writing in self._writing.values():
                writing.close()
            self._writing.clear()

    async def serve(self, request: frames.Request) -> Answer | None:
        """The answer, or None where the protocol has none. Never raises for what the sandbox asks."""
        try:
            if isinstance(request, frames.Open):
                return await self._open(request)
            if isinstance(request, frames.Discard):
                self._discard(request)
                return None
            return await self._done(request)
        except Refused as refusal:
            return _refusal(request, refusal.code, refusal.message)
        except errors.FaasError as error:
            return _refusal(request, _code(error), error.message)

    async def _open(self, request: frames.Open) -> Answer:
        writes = _is_write(request.mode)
        bucket = self._bucket(request.bucket, write=writes)
        if not writes:
            descriptor = await asyncio.to_thread(spool.open_object, bucket, request.key)
            return Answer(frames.Opened(request.n), descriptor=descriptor, passing=True)
        if request.n in self._writing or len(self._writing) >= MAX_BEING_WRITTEN:
            raise Refused("Failed", f"more than {MAX_BEING_WRITTEN} objects are being written at once")
        attempt = self._attempt
        writing = await asyncio.to_thread(spool.Spool.begin, bucket, request.key)
        if attempt != self._attempt:
            writing.close()
            raise Refused("Failed", "the invocation is over")
        self._writing[request.n] = writing
        return Answer(frames.Opened(request.n), descriptor=writing.descriptor)

    async def _done(self, request: frames.Commit | frames.List | frames.Delete) -> Answer:
        if isinstance(request, frames.List):
            return Answer(frames.Done(request.n), body=await self._list(request))
        if isinstance(request, frames.Commit):
            await self._commit(request)
        else:
            await asyncio.to_thread(self._bucket(request.bucket, write=True).delete, request.key)
        return Answer(frames.Done(request.n))

    async def _commit(self, request: frames.Commit) -> None:
        held = self._writing.pop(request.n, None)
        if held is None:
            raise Refused("Failed", "this object is not being written")
        # In one thread call: nobody else may close the descriptor, and so let its number stand for another file.
        await asyncio.to_thread(held.commit, self._writer())

    def _writer(self) -> buckets_module.Writer:
        run = self._invocation
        return buckets_module.Writer(0) if run is None else buckets_module.Writer(run.depth, run.id, run.chain_id)

    def _discard(self, request: frames.Discard) -> None:
        held = self._writing.pop(request.n, None)
        if held is not None:
            held.close()

    async def _list(self, request: frames.List) -> bytes:
        bucket = self._bucket(request.bucket, write=False)
        limit = min(request.limit, buckets_module.PAGE)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_LISTING, _listed, bucket, request.prefix, request.after, limit)

    def _bucket(self, name: str, *, write: bool) -> buckets_module.Bucket:
        access = self._declared.get(name)
        if access is None:
            raise Refused("Denied", f"the function does not declare bucket {name[:80]!r}")
        if write and access is not model.Access.WRITE:
            raise Refused("Denied", f"the function declares bucket {name!r} for reading only")
        bucket = self._find(name)
        if bucket is None:
            raise Refused("NotFound", f"there is no bucket {name!r}")
        return bucket


def _listed(bucket: buckets_module.Bucket, prefix: str, after: str, limit: int) -> bytes:
    found = bucket.list(prefix, after, limit)
    return _encode([{"key": item.key, "size": item.size, "modified_ms": item.modified_ms} for item in found])


def _is_write(mode: str) -> bool:
    if mode not in ("r", "w"):
        raise Refused("Failed", f"mode {mode[:10]!r} is neither r nor w")
    return mode == "w"


def _code(error: errors.FaasError) -> str:
    if isinstance(error, errors.NotFound):
        return "NotFound"
    return "BadKey" if isinstance(error, errors.BadRequest) else "Failed"


def _refusal(request: frames.Request, code: str, message: str) -> Answer:
    if isinstance(request, frames.Open):
        return Answer(frames.Opened(request.n, code, message))
    return Answer(frames.Done(request.n, code, message))
