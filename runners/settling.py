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
from faas.queue import accepting, destined, invocations, leases, replies, retrying
from runners import naps
from runners import slot as slots

_log = logging.getLogger(__name__)

_HEARD_AT_ONCE = 64
"""So many settled hand-offs are remembered in Redis before it is told, with a finish, that they were heard of."""

_TRIED_EVERY_S = 0.2

_BEGINS_UP_TO = 1.25
"""Times the bytes of records past which nothing is accepted: Redis keeps an eighth of its memory free for such."""

Then = Callable[[invocations.Finished | None], None]


class Settler:
    """Settles the attempts of one node, and answers their callers. Those in ``answers`` need no reply stream.

    Past ``most_unrecorded_bytes`` of records that wait for the ledger nothing is accepted, and a quarter later no
    attempt begins: its record needs room. In between, callers whose calls were accepted last have their answers.
    """

    def __init__(
        self,
        queue: invocations.Queue,
        node: str,
        answers: replies.Replies | None,
        seen_naps: naps.Naps,
        most_unrecorded_bytes: int,
    ) -> None:
        self._queue = queue
        self._node = node
        self._answers = answers
        self._here = answers.address if answers is not None else None
        self._naps = seen_naps
        self._loop = asyncio.get_running_loop()
        self._kept: list[slots.Ended] = []
        self._trying: asyncio.TimerHandle | None = None
        self._underway = 0
        self._entries_underway: set[str] = set()
        self._heard: list[str] = []
        self.unrecorded_bytes = 0
        """Bytes of records that wait for the ledger, by the last answer."""
        self._most_unrecorded_bytes = most_unrecorded_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._encode = msgspec.msgpack.Encoder().encode

    @property
    def ledger_keeps_up(self) -> bool:
        """Whether calls are accepted, as far as the records of those before them go."""
        return self.unrecorded_bytes < self._most_unrecorded_bytes

    @property
    def may_begin(self) -> bool:
        """Whether there is room for the records of attempts at what was accepted."""
        return self.unrecorded_bytes < self._most_unrecorded_bytes * _BEGINS_UP_TO

    @property
    def left(self) -> int:
        """Attempts that are over and not settled yet."""
        return len(self._kept) + self._underway

    @property
    def entries(self) -> set[str]:
        """The entries of what is over and not settled yet: on its way to Redis, or kept here."""
        return self._entries_underway | {ended.entry for ended in self._kept if ended.entry is not None}

    def settle(self, ended: slots.Ended, claim_next: int, then: Then) -> None:
        """Send the finish now; ``then`` gets what it answered, or None when it could not be sent and is kept."""
        self._settle(ended, claim_next, then, again=False)
        if ended.caller is not None:
            # What was answered is recorded so, also when this node is killed or paused right then: the finish leaves
            # in this turn of the event loop, the answer in the next one.
            self._queue.link.flush()
            self._loop.call_soon(self._answer, ended, ended.caller)

    def _answer(self, ended: slots.Ended, caller: asyncio.Future[model.Outcome]) -> None:
        """Answer who was handed off, without waiting for Redis unless another node may have called the call lost."""
        if not caller.done() and not self._naps.slept_since(ended.naps):
            caller.set_result(ended.outcome)

    def _settle(self, ended: slots.Ended, claim_next: int, then: Then, *, again: bool) -> None:
        self._underway += 1
        if ended.entry is not None:
            self._entries_underway.add(ended.entry)
        settled = None
        if ended.retries is not None and ended.claim is not None:
            decision = _decided(ended, ended.retries)
            if decision.next is retry.Next.RETRY:
                self._try_again(ended, ended.claim, decision.after_ms, then)
                return
            settled = _settled(ended, decision.condition)
        self._send(ended, claim_next, again, settled).add_done_callback(partial(self._sent, ended, then, again))

    def _try_again(self, ended: slots.Ended, claim: invocations.Claim, after_ms: int, then: Then) -> None:
        if after_ms or ended.record.status is not model.Status.LOST:
            record, again = _not_final(ended), leases.next_attempt(ended.invocation)
            sent = retrying.send(self._queue, claim, record, again, after_ms)
            sent.add_done_callback(partial(self._put_off, ended, then))
            return
        task = self._loop.create_task(self._give_back(ended, claim, then), name="give back")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _put_off(self, ended: slots.Ended, then: Then, answer: asyncio.Future[Any]) -> None:
        self._arrived(ended, answer.exception())
        then(None if answer.exception() is not None else self._told(answer))

    @property
    def redis_takes_all(self) -> bool:
        """Whether nothing is kept here because Redis was away or refused it."""
        return self._trying is None

    def resend(self) -> None:
        """Settle what was kept, now that Redis is back. What fails again stays."""
        kept, self._kept = self._kept, []
        for ended in kept:
            self._settle(ended, 0, _nothing, again=True)
        if kept:
            _log.info("outcomes_resent", extra={"count": len(kept)})

    def _send(
        self, ended: slots.Ended, claim_next: int, again: bool, settled: destined.Settled | None
    ) -> asyncio.Future[Any]:
        heard: list[str] = []
        if ended.entry is None and len(self._heard) >= _HEARD_AT_ONCE:
            heard, self._heard = self._heard, heard
        return self._queue.send_finish(
            ended.invocation,
            ended.entry,
            ended.record,
            node=self._node,
            reply=self._reply(ended),
            claim_next=claim_next,
            again=again,
            heard=heard,
            settled=settled,
        )

    def _reply(self, ended: slots.Ended) -> bytes:
        """What Redis gets of the outcome: all for a caller of another process, what is kept of an async one."""
        if ended.invocation.mode is model.Mode.ASYNC:
            return self._encode(_kept(ended.outcome, self._queue.keeping.result_bytes))
        reply_to = ended.invocation.reply_to
        elsewhere = ended.entry is not None and reply_to is not None and reply_to != self._here
        return self._encode(ended.outcome) if elsewhere else b""

    def _sent(self, ended: slots.Ended, then: Then, again: bool, answer: asyncio.Future[Any]) -> None:
        self._arrived(ended, answer.exception())
        if answer.exception() is not None:
            then(None)
            return
        finished = self._told(answer)
        if ended.caller is not None and (finished.settled or again):
            _tell(ended, ended.caller, was_settled=finished.settled)
        if ended.entry is None and (finished.settled or again):
            self._heard.append(accepting.hand_off_field(ended.invocation))
        elif ended.entry is None:
            # Redis refused to write the hand-off down (a full disk), or this node was taken for dead meanwhile: a
            # second try finds out.
            self._settle(ended, 0, _nothing, again=True)
        # One that was sent again may have been settled the first time, whose answer was lost: its caller waits still.
        # After a nap it may as well have been taken over, and its caller has another attempt's answer.
        was_settled = finished.settled or (again and not self._naps.slept_since(ended.naps))
        if was_settled and ended.entry is not None and ended.invocation.reply_to == self._here and self._answers:
            self._answers.deliver(ended.invocation.id, ended.outcome)
        then(finished)

    def _arrived(self, ended: slots.Ended, error: BaseException | None) -> None:
        """An outcome is not on its way any more. Between there and being kept its entry is never unknown."""
        self._underway -= 1
        if error is not None:
            self._keep(ended, error)
        if ended.entry is not None:
            self._entries_underway.discard(ended.entry)

    def _told(self, answer: asyncio.Future[Any]) -> invocations.Finished:
        finished = invocations.finished(answer.result())
        self.unrecorded_bytes = finished.unrecorded_bytes
        return finished

    def _keep(self, ended: slots.Ended, error: BaseException) -> None:
        self._kept.append(ended)
        if self._trying is None:
            _log.warning("outcomes_kept", extra={"reason": str(error)})
            self._try_later()

    def _try_later(self) -> None:
        self._trying = self._loop.call_later(_TRIED_EVERY_S, self._try_one)

    def _try_one(self) -> None:
        """What is kept here is lost with this node: as soon as Redis takes one outcome it is to have all of them."""
        if not self._kept:
            self._trying = None
        elif not self._queue.link.is_open:
            self._try_later()
        else:
            self._settle(self._kept.pop(0), 0, self._tried, again=True)

    def _tried(self, finished: invocations.Finished | None) -> None:
        if finished is None:
            self._try_later()
        else:
            self._trying = None
            self.resend()

    async def _give_back(self, ended: slots.Ended, claim: invocations.Claim, then: Then) -> None:
        try:
            await self._queue.release(claim, record=_not_final(ended), again=leases.next_attempt(ended.invocation))
        except (errors.Unavailable, hiredis.HiredisError) as error:
            self._arrived(ended, error)
        else:
            self._arrived(ended, None)
        then(None)


def _tell(ended: slots.Ended, caller: asyncio.Future[model.Outcome], *, was_settled: bool) -> None:
    """Answer the caller of a hand-off from before a nap with its outcome, or that another node called it lost."""
    if caller.done():
        return
    if was_settled:
        caller.set_result(ended.outcome)
        return
    lost = errors.Unavailable(
        f"the platform lost this attempt of {ended.invocation.function}: its node stood still for too long",
        hint=f"faas invocations show {ended.invocation.id}",
        type="Platform.Lost",
    )
    caller.set_exception(lost)


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
