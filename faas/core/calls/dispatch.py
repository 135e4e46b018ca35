"""The port of the hand-off: a sync call given at once to a free slot of the node that it reached.

``triggers`` calls it, ``runners`` provides it, and only the composition root (`faas.cli.node`) knows both.
"""

from __future__ import annotations

from typing import Protocol

from faas.core import errors, model


class Caller(Protocol):
    """Who waits for the outcome of a sync call. One of the three methods is called, once, by who took the call."""

    is_gone: bool
    """The client hung up: whoever holds the call may drop it when it has not begun, and nothing need be called."""

    def answer(self, outcome: model.Outcome) -> None:
        """The call has ended. The function's faults are outcomes."""

    def fail(self, error: errors.FaasError) -> None:
        """The platform could not run the call, or lost it."""

    def decline(self) -> None:
        """The node has no slot for the call after all; it has not begun. The caller takes the way through the queue."""


class Dispatch(Protocol):
    """Takes sync calls to the slots of this node."""

    def offer(self, invocation: model.Invocation, caller: Caller) -> bool:
        """Take a call to a free slot of this node, or into its line for one; False: the caller enqueues it.

        Raises `errors.Throttled` when it would wait too long, and `errors.NothingRuns` when it would wait in vain.
        Never calls ``caller`` before it returns.
        """


class NoHandOff:
    """The dispatch of a gateway that has no runner beside it: every call goes through the queue."""

    def offer(self, invocation: model.Invocation, caller: Caller) -> bool:
        """Never takes anything."""
        return False


class Refuses:
    """The dispatch of a gateway whose functions cannot run: every sync call is refused, and told why."""

    def __init__(self, why: str, hint: str) -> None:
        self._why = why
        self._hint = hint

    def offer(self, invocation: model.Invocation, caller: Caller) -> bool:
        """Never takes anything. Raises `errors.NothingRuns`."""
        raise errors.NothingRuns(self._why, hint=self._hint)
