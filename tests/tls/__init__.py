"""Certificates of a hundred years for tests of TLS, and what speaks it in front of a server that does not.

``ca.pem`` signed ``server.pem`` (localhost, 127.0.0.1) and ``client.pem``; ``other.pem`` is an authority that signed
nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

HERE = Path(__file__).parent


@contextlib.asynccontextmanager
async def in_front_of(socket_path: str, *, asks_for_client: bool = False) -> AsyncIterator[int]:
    """A port of this machine on which TLS is spoken and handed on in clear to a Unix socket."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HERE / "server.pem", HERE / "server.key")
    if asks_for_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(HERE / "ca.pem")
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        inner_reader, inner_writer = await asyncio.open_unix_connection(socket_path)
        try:
            await asyncio.gather(_carry(reader, inner_writer), _carry(inner_reader, writer))
        finally:
            for each in (inner_writer, writer):
                each.transport.abort()

    server = await asyncio.start_server(served, "127.0.0.1", 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in [*tasks]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()
