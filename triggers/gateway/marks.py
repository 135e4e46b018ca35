"""Where a request stands in a chain of functions, when the platform itself sent it to a URL that leads back here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from faas.core import clock, errors
from faas.core.calls import calling, lineage
from faas.core.http import headers
from faas.queue import secrets
from faas.queue import server as servers

_FIELD = headers.CHAIN.lower()
_LOOK_EVERY_S = 1.0


class Marks:
    """Reads marks by the secret that all processes of the platform share. Call it in a running loop."""

    def __init__(self, server: servers.RedisServer) -> None:
        self._server = server
        self._secret = b""
        self._looked_at = -_LOOK_EVERY_S
        self._looking: asyncio.Task[None] | None = None
        self._look_again()

    async def close(self) -> None:
        """Wait for what Redis was asked."""
        if self._looking is not None:
            await self._looking

    def chain(self, fields: Mapping[str, str]) -> calling.Chain:
        """The place that a request's mark says; the first of a chain when there is none, or it is a stranger's.

        Fields are found by their names in lower case.
        """
        given = fields.get(_FIELD)
        if given is None:
            return calling.FIRST
        found = lineage.read(self._secret, given) if self._secret else None
        if found is None:
            self._look_again()
        return found or calling.FIRST

    def _look_again(self) -> None:
        """The secret is another one when Redis was emptied; strangers' marks make us ask no more than now and then."""
        if clock.steady_s() - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = clock.steady_s()
        self._looking = asyncio.get_running_loop().create_task(self._look(), name="chain secret")

    async def _look(self) -> None:
        with contextlib.suppress(errors.Unavailable):  # it is asked for again with the next mark that is not known
            self._secret = await secrets.chain(self._server)
