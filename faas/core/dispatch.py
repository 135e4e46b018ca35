"""The port of the hand-off: a sync call given at once to a free slot of the node that it reached.

``triggers`` calls it, ``runners`` provides it, and only the composition root (`faas.cli.node`) knows both.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from faas.core import model


class Dispatch(Protocol):
    """Takes a sync invocation to a free slot of this node, now or not at all."""

    def offer(self, invocation: model.Invocation) -> asyncio.Future[model.Outcome] | None:
        """The outcome to await, or None when no slot for the revision is free (then the caller enqueues).

        The future never carries the function's faults as exceptions: they are outcomes. It raises `errors.Unavailable`
        when the platform lost the attempt.
        """


class NoHandOff:
    """The dispatch of a gateway that has no runner beside it: every call goes through the queue."""

    def offer(self, invocation: model.Invocation) -> asyncio.Future[model.Outcome] | None:
        """Never takes anything."""
        return None
