"""A port, which several processes may share: opened, and left without breaking the connection of anybody.

The kernel gives each new connection to one of those who listen. One that was given to a node, and that the node has not
accepted when it stops to listen, is reset; so those are accepted first, in the same breath.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

from faas.core import errors
from faas.serving import server

_BACKLOG = 1024
_FAREWELL_S = 0.5


@contextlib.asynccontextmanager
async def serving(
    served: server.Server,
    host: str,
    port: int,
    *,
    grace_s: float,
    farewell_s: float = _FAREWELL_S,
    hint: str = "choose another with --port (0 takes any free one)",
) -> AsyncIterator[str]:
    """Answer requests on a port (0: any free one) during the block; the value is the URL.

    At its end, clients that keep their connection open have ``farewell_s`` to use it once more and be told that it ends
    with that, and who waits for an answer has ``grace_s`` for it. Raises `errors.Conflict` when the port is in use, and
    `errors.Unavailable` when it cannot listen there for another reason; ``hint`` says what to do about the port.
    """
    loop = asyncio.get_running_loop()
    try:
        listening = await loop.create_server(served, host, port, reuse_port=True, backlog=_BACKLOG)
    except OSError as error:
        raise errors.cannot_listen(error, host, port, hint) from error
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{listening.sockets[0].getsockname()[1]}"
    finally:
        for connection in _listen_no_more(listening):
            # Served like all others, and told with the answer that the connection ends.
            await loop.connect_accepted_socket(served, connection)
        await served.say_farewell(min(farewell_s, grace_s))
        await served.close(grace_s)


def _listen_no_more(listening: asyncio.Server) -> list[socket.socket]:
    """Stop to listen; who had connected until then."""
    # asyncio gives no socket away that can accept. These borrow its descriptors, and are detached below.
    listeners = [socket.socket(fileno=each.fileno()) for each in listening.sockets]
    came = [connection for listener in listeners for connection in _waiting_on(listener)]
    # Nothing was awaited since the last accept: only who connects in these microseconds is reset.
    listening.close()
    for listener in listeners:
        listener.detach()
    return came


def _waiting_on(listener: socket.socket) -> Iterator[socket.socket]:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # there is none, or no file descriptor is left for it
            return
        connection.setblocking(False)
        yield connection
