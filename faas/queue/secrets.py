"""What the processes of one platform know in common, and nobody else."""

from __future__ import annotations

import secrets

from faas.queue import server as servers


async def chain(server: servers.RedisServer) -> bytes:
    """What signs places in chains (`faas.core.calls.lineage`), made by who asks first. Raises `errors.Unavailable`."""
    key = server.keys.chain_secret
    found: bytes | None = await server.link.call("GET", key)
    if found is None:
        # Two may make one at once. The first stands, so what is there is read again.
        await server.link.call("SET", key, secrets.token_hex(32), "NX")
        found = await server.link.call("GET", key)
    return found or b""
