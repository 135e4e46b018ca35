"""What attempts leave behind goes to Redis in one step each, and is kept here while Redis is away or refuses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import hiredis
import msgspec

from faas.core import errors, model
from faas.queue import invocations, leases, replies
from runners import slot as slots

_log = logging.getLogger(__name__)

Then = Callable[[invocations.Finished | None], None]


class Settler:
    """Settles the attempts of one node. ``answers`` are the callers of this process, who need no reply stream."""

    def __init__(self, queue: invocations.Queue, node: str, answers: replies.Replies | None) -> None:
        self._queue = queue
        self._node = node
        self._answers = answers
        self._here = answers.address if answers is not None else None
        self._kept: list[slots.Ended] = []
        self._underway = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._encode = msgspec.msgpack.Encoder().encode

    @property
    def left(self) -> int:
        """Attempts that are over and not settled yet."""
        return len(self._kept) + self._underway + len(self._tasks)

    @property
    def kept_entries(self) -> set[str]:
        """The entries whose outcomes are kept here."""
        return {ended.entry for ended in self._kept if ended.entry is not None}

    def settle(self, ended: slots.Ended, claim_next: int, then: Then) -> None:
        """Send the finish now; ``then`` gets what it answered, or None when it could not be sent and is kept."""
        if ended.is_lost and ended.claim is not None and _may_run_again(ended.invocation):
            task = asyncio.get_running_loop().create_task(self._give_back(ended, ended.claim, then), name="give back")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        self._underway += 1
        self._send(ended, claim_next).add_done_callback(partial(self._sent, ended, then))

    async def resend(self) -> None:
        """Settle what was kept, now that Redis is back. What fails again stays."""
        kept, self._kept = self._kept, []
        for ended in kept:
            try:
                if ended.entry is None:
                    await self._queue.hand_off_again(self._node, ended.invocation)
            except (errors.Unavailable, hiredis.HiredisError) as error:
                self._keep(ended, error)
                continue
            self.settle(ended, 0, _nothing)
        if kept:
            _log.info("outcomes_resent", extra={"count": len(kept)})

    def _send(self, ended: slots.Ended, claim_next: int) -> asyncio.Future[Any]:
        reply_to = ended.invocation.reply_to
        elsewhere = ended.entry is not None and reply_to is not None and reply_to != self._here
        return self._queue.send_finish(
            ended.invocation,
            ended.entry,
            ended.record,
            node=self._node,
            reply=self._encode(ended.outcome) if elsewhere else b"",
            claim_next=claim_next,
        )

    def _sent(self, ended: slots.Ended, then: Then, answer: asyncio.Future[Any]) -> None:
        self._underway -= 1
        error = answer.exception()
        if error is not None:
            self._keep(ended, error)
            then(None)
            return
        finished = self._queue.finished(answer.result())
        if not finished.settled and ended.entry is None:
            # Redis refused to write the hand-off down (a full disk), or this node was taken for dead meanwhile: either
            # way the caller has this answer, and the ledger takes no attempt twice.
            self._keep(ended, errors.Unavailable("the hand-off was not written down"))
        if finished.settled and ended.entry is not None and ended.invocation.reply_to == self._here and self._answers:
            self._answers.deliver(ended.invocation.id, ended.outcome)
        then(finished)

    def _keep(self, ended: slots.Ended, error: BaseException) -> None:
        if not self._kept:
            _log.warning("outcomes_kept", extra={"reason": str(error)})
        self._kept.append(ended)

    async def _give_back(self, ended: slots.Ended, claim: invocations.Claim, then: Then) -> None:
        record = msgspec.structs.replace(ended.record, final=False, dead=False)
        try:
            await self._queue.release(claim, record=record, again=leases.next_attempt(ended.invocation))
        except (errors.Unavailable, hiredis.HiredisError) as error:
            self._keep(ended, error)
        then(None)


def _may_run_again(invocation: model.Invocation) -> bool:
    """The handler may have run to its end, so a caller who waits hears of the loss and decides."""
    return invocation.mode is model.Mode.ASYNC and leases.may_run_again(invocation)


def _nothing(_finished: invocations.Finished | None) -> None:
    pass
