"""What attempts leave behind goes to Redis in one step each, and is kept here while Redis is away or refuses it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import hiredis
import msgspec

from faas.core import errors, model, retry
from faas.queue import destined, invocations, leases, replies
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
        settled = None
        if ended.retries is not None and ended.claim is not None:
            decision = _decided(ended, ended.retries)
            if decision.next is retry.Next.RETRY:
                self._try_again(ended, ended.claim, decision.after_ms, then)
                return
            settled = _settled(ended, decision.condition)
        self._underway += 1
        self._send(ended, claim_next, settled).add_done_callback(partial(self._sent, ended, then))

    def _try_again(self, ended: slots.Ended, claim: invocations.Claim, after_ms: int, then: Then) -> None:
        if ended.record.status is not model.Status.LOST:
            record, again = _not_final(ended), leases.next_attempt(ended.invocation)
            self._underway += 1
            sent = self._queue.send_retry(claim, record, again, after_ms)
            sent.add_done_callback(partial(self._put_off, ended, then))
            return
        task = asyncio.get_running_loop().create_task(self._give_back(ended, claim, then), name="give back")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _put_off(self, ended: slots.Ended, then: Then, answer: asyncio.Future[Any]) -> None:
        self._underway -= 1
        error = answer.exception()
        if error is not None:
            self._keep(ended, error)
        then(None if error is not None else self._queue.finished(answer.result()))

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

    def _send(self, ended: slots.Ended, claim_next: int, settled: destined.Settled | None) -> asyncio.Future[Any]:
        return self._queue.send_finish(
            ended.invocation,
            ended.entry,
            ended.record,
            node=self._node,
            reply=self._reply(ended),
            claim_next=claim_next,
            settled=settled,
        )

    def _reply(self, ended: slots.Ended) -> bytes:
        """What Redis gets of the outcome: all for a caller of another process, what is kept of an async one."""
        if ended.invocation.mode is model.Mode.ASYNC:
            return self._encode(_kept(ended.outcome, self._queue.keeping.result_bytes))
        reply_to = ended.invocation.reply_to
        elsewhere = ended.entry is not None and reply_to is not None and reply_to != self._here
        return self._encode(ended.outcome) if elsewhere else b""

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
        try:
            await self._queue.release(claim, record=_not_final(ended), again=leases.next_attempt(ended.invocation))
        except (errors.Unavailable, hiredis.HiredisError) as error:
            self._keep(ended, error)
        then(None)


def _kept(outcome: model.Outcome, most_bytes: int) -> model.Outcome:
    """Without its log, which is in the ledger. No JSON is empty: an empty body says that the result was too large."""
    record = msgspec.structs.replace(outcome.record, logs=())
    if len(outcome.body) > most_bytes:
        return model.Outcome(record=record, body=b"")
    return msgspec.structs.replace(outcome, record=record)


def _decided(ended: slots.Ended, retries: model.Retries) -> retry.Decision:
    invocation, record = ended.invocation, ended.record
    known = retry.Ended(
        attempt=invocation.attempt,
        mode=invocation.mode,
        status=record.status,
        age_ms=max(record.ended_at_ms - invocation.accepted_at_ms, 0),
        wish=ended.wish,
    )
    return retry.decide(known, retries, random.random())  # noqa: S311 - spreads retries, hides nothing


def _settled(ended: slots.Ended, condition: model.Condition) -> destined.Settled | None:
    """What goes to the destination of an async invocation; None when it has none."""
    if ended.config is None or ended.config.destination(condition) is None:
        return None
    return destined.settled(ended.record, condition, ended.outcome.body, is_bytes=ended.outcome.is_bytes)


def _not_final(ended: slots.Ended) -> model.Record:
    return msgspec.structs.replace(ended.record, final=False, dead=False)


def _nothing(_finished: invocations.Finished | None) -> None:
    pass
