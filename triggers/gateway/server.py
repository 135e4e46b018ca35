"""The gateway's HTTP server: a connection of its own kind for each client."""

from __future__ import annotations

import asyncio

from faas.serving import server
from triggers.gateway import connection, gateway


class GatewayServer(server.Server):
    """Makes a `connection.Connection` of each client. Call it in a running event loop."""

    def __init__(self, served: gateway.Gateway) -> None:
        given = served.limits
        limits = server.PortLimits(
            receive_timeout_ms=given.receive_timeout_ms,
            keep_alive_ms=given.keep_alive_ms,
            max_connections=given.max_connections,
            max_connection_bytes=given.max_connection_bytes,
        )
        super().__init__(limits, self._connection, served.close)
        self._gateway = served

    def _connection(self) -> connection.Connection:
        return connection.Connection(self, self._gateway, asyncio.get_running_loop())
