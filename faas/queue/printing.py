"""What sandboxes print while no attempt of theirs runs, on its way to the ledger: with the records, and no record."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from faas.core import model
from faas.queue import server as servers

packed = msgspec.msgpack.Encoder().encode
"""What an entry of the stream holds of it."""


def send(server: servers.RedisServer, printed: model.Printed, most_bytes: int) -> asyncio.Future[Any]:
    """Send it, before this returns. The answer is whether there was room; it raises `errors.Unavailable`."""
    keys = server.keys
    return server.run("print", (keys.records, keys.held), packed(printed), most_bytes)
