"""The answers to the callers that one process holds: it reads its own reply stream and resolves their futures."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import msgspec

from faas.core import errors, ids, model
from faas.core.values import unreadable
from faas.link import link as links
from faas.queue import keys as keyring

_AGAIN_S = 0.2
_log = logging.getLogger(__name__)


class Replies:
    """One reply stream and the futures that wait on it. Futures of callers who have gone are simply cancelled."""

    def __init__(self, link: links.Link, keys: keyring.Keys) -> None:
        self.address = ids.new_id()
        self._link = link
        self._stream = keys.reply(self.address)
        self._waiting: dict[str, asyncio.Future[model.Outcome]] = {}
        self._decode = msgspec.msgpack.Decoder(model.Outcome).decode
        self._reader = asyncio.create_task(self._read_for_ever(), name="replies")

    @classmethod
    async def open(cls, redis_url: str, prefix: str) -> Replies:
        """Connect and start reading, at the same address whatever becomes of Redis. Raises `errors.Unavailable`."""
        return cls(await links.Link.open(redis_url), keyring.Keys(prefix))

    async def reopen(self) -> None:
        """Connect now, if the connection was lost. Raises `errors.Unavailable` while Redis does not answer."""
        await self._link.reopen()

    def expect(self, invocation_id: str) -> asyncio.Future[model.Outcome]:
        """The outcome of an invocation whose ``reply_to`` is this address; ask before enqueueing it.

        The future raises `errors.Unavailable` when the connection breaks. Cancel it to stop expecting.
        """
        future: asyncio.Future[model.Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[invocation_id] = future
        future.add_done_callback(lambda _: self._waiting.pop(invocation_id, None))
        return future

    async def close(self) -> None:
        """Stop reading, drop the connection, and fail whoever still waits."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._link.tell("DEL", self._stream)
        self._link.close()
        self._fail(errors.Unavailable("this process stops"))

    async def _read_for_ever(self) -> None:
        while True:
            try:
                await self._read()
            except errors.Unavailable as error:
                self._fail(error)
                await asyncio.sleep(_AGAIN_S)  # a server that starts, or is full, answers and refuses the read
                # Who asks while it is away is not failed at each attempt: his call may be in Redis before we are back.
                while not self._link.is_open:
                    with contextlib.suppress(errors.Unavailable):
                        await self._link.reopen()
                    await asyncio.sleep(_AGAIN_S)

    async def _read(self) -> None:
        # From the first entry on, and what was read goes before the next read: a stream that has lapsed starts anew,
        # and when the clock was set back meanwhile, with ids below those of before.
        got = await self._link.call("XREAD", "COUNT", 512, "BLOCK", 5000, "STREAMS", self._stream, "0-0")
        entries = got[0][1] if got else ()
        for _, fields in entries:
            try:
                # `i`, an id, `o`, an outcome; again for each other that ended in the same step.
                for place in range(1, len(fields), 4):
                    self._resolve(fields[place].decode(), fields[place + 2])
            except (*unreadable.ERRORS, LookupError) as error:  # it is nobody's, or whoever waits runs out of time
                _log.error("unreadable_reply", extra={"reason": str(error)[:200]})
        if entries:
            self._link.tell("XDEL", self._stream, *(entry for entry, _ in entries))

    def _resolve(self, invocation_id: str, packed: bytes) -> None:
        future = self._waiting.get(invocation_id)
        if future is not None and not future.done():
            future.set_result(self._decode(packed))

    def _fail(self, error: errors.Unavailable) -> None:
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(error)
                future.exception()  # its caller may be about to go, and then nothing is to be said of it
