"""One request from its invocation to its answer: who waits at the gateway for the outcome of a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from faas.core import errors, model
from faas.core.http import replies
from triggers.gateway import answering

_log = logging.getLogger("faas.gateway")

Answered = Callable[[str, replies.Reply], None]
"""Sends the answer to the invocation of this id."""


class Running:
    """A request that is not answered yet. It is the `faas.core.calls.dispatch.Caller` of its call.

    ``answered`` is called once with its answer, unless the client has hung up. ``enqueue`` takes it over when no slot
    of this node does; a ``task`` that works on it ends when the client hangs up.
    """

    __slots__ = ("_answered", "_enqueue", "begun_ms", "invocation_id", "is_gone", "task", "waiting")

    def __init__(
        self, invocation_id: str, begun_ms: int, answered: Answered, enqueue: Callable[[Running], None]
    ) -> None:
        self.invocation_id = invocation_id
        self.begun_ms = begun_ms
        self.is_gone = False
        self.task: asyncio.Task[None] | None = None
        self.waiting: tuple[model.Invocation, model.FunctionConfig] | None = None
        """What to enqueue when no slot of this node takes it."""
        self._answered = answered
        self._enqueue = enqueue

    def answer(self, outcome: model.Outcome) -> None:
        """See `dispatch.Caller`."""
        if answering.takes_long(outcome):
            self.task = asyncio.get_running_loop().create_task(self._answer_later(outcome), name="large answer")
            return
        try:
            self.say(answering.of_outcome(outcome))
        except Exception:  # noqa: BLE001 - who runs calls is not to be hurt by what could not be sent
            self.break_down()

    async def _answer_later(self, outcome: model.Outcome) -> None:
        try:
            self.say(await answering.of_any_outcome(outcome))
        except Exception:  # noqa: BLE001 - as in `answer`
            self.break_down()

    def fail(self, error: errors.FaasError) -> None:
        """See `dispatch.Caller`."""
        self.say(answering.of_error(error, self.invocation_id))

    def decline(self) -> None:
        """See `dispatch.Caller`."""
        if not self.is_gone:
            self._enqueue(self)

    def say(self, reply: replies.Reply) -> None:
        """Answer with this."""
        if not self.is_gone:
            self._answered(self.invocation_id, reply)

    def break_down(self) -> None:
        """Whatever is not foreseen is a plain 500; its stack, for which an exception is being handled, is logged."""
        _log.exception("request_failed", extra={"invocation_id": self.invocation_id})
        self.fail(errors.FaasError("the gateway failed; see its log"))

    def hang_up(self) -> None:
        """The client has gone. What waits in the queue for it is settled as rejected."""
        self.is_gone = True
        if self.task is not None:
            self.task.cancel()


class Awaited:
    """The caller of a call whose outcome a coroutine awaits, whether or not its client stays."""

    def __init__(self) -> None:
        self.is_gone = False
        self.outcome: asyncio.Future[model.Outcome | None] = asyncio.get_running_loop().create_future()
        """None when the node has no slot for the call after all."""

    def answer(self, outcome: model.Outcome) -> None:
        """See `dispatch.Caller`."""
        self._set(outcome)

    def fail(self, error: errors.FaasError) -> None:
        """See `dispatch.Caller`."""
        if not self.outcome.done():
            self.outcome.set_exception(error)

    def decline(self) -> None:
        """See `dispatch.Caller`."""
        self._set(None)

    def _set(self, outcome: model.Outcome | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)
