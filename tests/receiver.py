"""A receiver of records at a URL of the test's own: it checks the signature as the documentation says, and answers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from aiohttp import web

SECRET = "s3cret"


class Received(msgspec.Struct, frozen=True):
    """One POST that was signed as it should be."""

    record: Any
    headers: dict[str, str]
    at: float


class Receiver:
    """Answers with what ``answer`` says to the number of the POST, from 1 on: a status, or a whole response."""

    def __init__(self, answer: Callable[[int], int | web.Response]) -> None:
        self.url = ""
        self.received: list[Received] = []
        self.unsigned = 0
        self.hold: asyncio.Event | None = None
        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note what came, and answer; never before ``hold`` is set."""
        body = await request.read()
        if not is_genuine(request.headers["Faas-Signature"], body, SECRET):
            self.unsigned += 1
            return web.Response(status=401)
        self.received.append(Received(json.loads(body), dict(request.headers), time.monotonic()))
        number = len(self.received)
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answer(number)
        return web.Response(status=answer) if isinstance(answer, int) else answer


def is_genuine(signature: str, body: bytes, secret: str, within_s: float = 300) -> bool:
    """What `docs/how-to/destinations.md` tells receivers to do."""
    parts = dict(part.split("=", 1) for part in signature.split(","))
    expected = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    return abs(time.time() - int(parts["t"])) < within_s and hmac.compare_digest(parts["v1"], expected)


@contextlib.asynccontextmanager
async def receiving(answer: Callable[[int], int | web.Response] = lambda _: 200) -> AsyncIterator[Receiver]:
    """A receiver that listens on loopback."""
    receiver = Receiver(answer)
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    if receiver.hold is not None:
        receiver.hold.set()
    await runner.cleanup()
