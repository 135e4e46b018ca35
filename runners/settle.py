"""What attempts from the queue leave behind: settled or tried again, in one step each, however often Redis goes away.

One thing downward: a lane gives what has ended in one turn of the event loop, and is told what Redis answered. What
could not be sent is kept (`runners.kept`) and settled as soon as Redis takes it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from faas.cluster import leases
from faas.core import errors, model
from faas.core.calls import retry
from faas.queue import bounds, census, destined, invocations, retrying
from runners import kept
from runners import slot as slots

_BEGINS_UP_TO = 1.25
"""Times the bytes of records past which nothing is accepted: Redis keeps an eighth of its memory free for such."""

Then = Callable[[invocations.Finished | None], None]
Ends = Sequence[tuple[invocations.Claim, slots.Ended]]


class Settler:
    """Settles the attempts of one node that came from the queue.

    Past ``most_unrecorded_bytes`` of records that wait for the ledger nothing is accepted, and a quarter later no
    attempt begins: its record needs room. In between, callers whose calls were accepted last have their answers. Of
    both bounds a function gets no more than it leaves free (`faas.queue.bounds.has_room`).
    """

    def __init__(self, queue: invocations.Queue, node: str, most_unrecorded_bytes: int) -> None:
        self.unrecorded_bytes = 0
        """Bytes of records that wait for the ledger, by the last answer."""
        self.ledger_lags = False
        """Whether so much waits for the ledger that a function may have had its share."""
        self._own_bytes: dict[str, int] = {}
        self._queue = queue
        self._node = node
        self._most_unrecorded_bytes = most_unrecorded_bytes
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[str, kept.KeptAttempt] = {}
        self._kept = kept.Keeper(lambda: queue.link.is_open, self._settle_kept)
        self._tasks: set[asyncio.Task[None]] = set()
        self._encode = msgspec.msgpack.Encoder().encode

    def ledger_keeps_up(self, function: str) -> bool:
        """Whether calls of a function are accepted, as far as the records of those before them go."""
        return not self.ledger_lags or self._has_room(function, self._most_unrecorded_bytes)

    def may_begin(self, function: str) -> bool:
        """Whether there is room for the records of attempts at what was accepted of a function."""
        return not self.ledger_lags or self._has_room(function, self._most_unrecorded_bytes * _BEGINS_UP_TO)

    def _has_room(self, function: str, most_bytes: float) -> bool:
        return bounds.has_room(self._own_bytes.get(function, 0), self.unrecorded_bytes, most_bytes)

    @property
    def left(self) -> int:
        """Attempts that are over and not settled yet."""
        return len(self._under_way) + len(self._kept)

    @property
    def entries(self) -> set[str]:
        """The entries of what is over and not settled yet: on its way to Redis, or kept here."""
        return self._under_way.keys() | self._kept.entries

    def heard(self, unrecorded_bytes: int, own_bytes: Mapping[str, int]) -> None:
        """Hear how many bytes of records wait for the ledger, of all, and of some functions."""
        self._hear(unrecorded_bytes)
        self._own_bytes.update(own_bytes)

    async def ask(self) -> None:
        """Ask Redis what waits for the ledger. Raises `errors.Unavailable`."""
        self._hear(await census.unrecorded_bytes(self._queue))
        self._own_bytes = await census.unrecorded_shares(self._queue) if self.ledger_lags else {}

    def _hear(self, unrecorded_bytes: int) -> None:
        self.unrecorded_bytes = unrecorded_bytes
        # Found out at each answer of Redis and not at each call, for which it is looked at several times.
        self.ledger_lags = 2 * unrecorded_bytes >= self._most_unrecorded_bytes

    def settle(self, revision: model.Revision, ended: Ends, claim_next: int, then: Then) -> None:
        """Send the ends of attempts of one revision, and claim so many along with them.

        ``then`` gets what Redis answered, or None when nothing could be sent, and what has ended is kept. It is not
        called when all of them are tried again and nothing was to be claimed.
        """
        self._settle(revision.ref, [kept.KeptAttempt(revision, claim, end) for claim, end in ended], claim_next, then)

    def resend(self) -> None:
        """Settle what is kept, now that Redis is back. What fails again stays."""
        self._kept.release()

    def _settle_kept(self, some: Sequence[kept.KeptAttempt]) -> None:
        by_ref: dict[str, list[kept.KeptAttempt]] = {}
        for one in some:
            by_ref.setdefault(one.revision.ref, []).append(one)
        for ref, ends in by_ref.items():
            self._settle(ref, ends, 0, _nothing)

    def _settle(self, ref: str, ends: Sequence[kept.KeptAttempt], claim_next: int, then: Then) -> None:
        self._under_way.update((one.claim.entry, one) for one in ends)
        finishes: list[tuple[kept.KeptAttempt, invocations.Finish]] = []
        for one in ends:
            invocation = one.claim.invocation
            rules = retry.policy(one.revision.config, invocation.mode, invocation.trigger_place)
            # No rules: a sync call that is not idempotent. It is settled whatever came of it.
            decision = None if rules is None else _decided(one.ended, rules)
            if decision is not None and decision.next is retry.Next.RETRY:
                self._try_again(one, decision.after_ms)
            else:
                finishes.append((one, self._finish(one, decision)))
        # A batch of none still claims, when slots are free for what waits.
        if finishes or claim_next:
            self._send(ref, finishes, claim_next, then)

    def _finish(self, one: kept.KeptAttempt, decision: retry.Decision | None) -> invocations.Finish:
        invocation, ended = one.claim.invocation, one.ended
        settled = None if decision is None else _settled(one, decision.condition)
        return invocations.Finish(
            invocation, one.claim.entry, ended.record, self._reply(invocation, ended), settled, one.claim.size
        )

    def _reply(self, invocation: model.Invocation, ended: slots.Ended) -> bytes:
        """What Redis gets of the outcome: all for a caller who waits, what is kept of an async one."""
        if invocation.mode is model.Mode.ASYNC:
            return self._encode(_kept(ended.outcome, self._queue.keeping.result_bytes))
        return self._encode(ended.outcome) if invocation.reply_to is not None else b""

    def _send(
        self, ref: str, finishes: Sequence[tuple[kept.KeptAttempt, invocations.Finish]], claim_next: int, then: Then
    ) -> None:
        ends, batch = [one for one, _ in finishes], [finish for _, finish in finishes]
        answer = self._queue.send_finishes(ref, self._node, batch, claim_next)
        answer.add_done_callback(partial(self._sent, ends, batch, then))

    def _sent(
        self,
        ends: Sequence[kept.KeptAttempt],
        batch: Sequence[invocations.Finish],
        then: Then,
        answer: asyncio.Future[Any],
    ) -> None:
        error = answer.exception()
        # First: what Redis did not take must be kept before anybody hears that it was not.
        self._arrived(ends, error)
        if error is not None:
            then(None)
            return
        finished = invocations.finished(answer.result(), batch)
        own = {batch[0].invocation.function: finished.own_unrecorded_bytes} if batch else {}
        self.heard(finished.unrecorded_bytes, own)
        then(finished)

    def _arrived(self, ends: Sequence[kept.KeptAttempt], error: BaseException | None) -> None:
        """Keep outcomes that Redis did not take. An entry is kept before it counts as not under way any more."""
        if error is None:
            self._kept.taken(ends)
        else:
            self._kept.keep(ends, str(error))
        for one in ends:
            self._under_way.pop(one.claim.entry, None)

    def _try_again(self, one: kept.KeptAttempt, after_ms: int) -> None:
        # Lost, and due at once: that goes back into its queue in one step. All else waits until it is due.
        if after_ms or one.ended.record.status is not model.Status.LOST:
            record, again = _not_final(one.ended), leases.next_attempt(one.claim.invocation)
            sent = retrying.send(self._queue, one.claim, record, again, after_ms)
            sent.add_done_callback(lambda answer: self._arrived([one], answer.exception()))
            return
        task = self._loop.create_task(self._give_back(one), name="give back")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _give_back(self, one: kept.KeptAttempt) -> None:
        again = leases.next_attempt(one.claim.invocation)
        try:
            await self._queue.release(one.claim, record=_not_final(one.ended), again=again)
        except errors.Unavailable as error:
            self._arrived([one], error)
        else:
            self._arrived([one], None)


def _kept(outcome: model.Outcome, most_bytes: int) -> model.Outcome:
    """Without its log, which is in the ledger. No JSON is empty: an empty body says that the result was too large."""
    record = msgspec.structs.replace(outcome.record, logs=()) if outcome.record.logs else outcome.record
    if len(outcome.body) > most_bytes:
        return model.Outcome(record=record, body=b"")
    return msgspec.structs.replace(outcome, record=record)


def _decided(ended: slots.Ended, rules: model.Retries) -> retry.Decision:
    invocation, record = ended.invocation, ended.record
    known = retry.EndedAttempt(
        attempt=invocation.attempt,
        mode=invocation.mode,
        status=record.status,
        age_ms=max(record.ended_at_ms - invocation.accepted_at_ms, 0),
        wish=ended.wish,
    )
    return retry.decide(known, rules, random.random())  # noqa: S311 - spreads retries, hides nothing


def _settled(one: kept.KeptAttempt, condition: model.Condition) -> destined.Settled | None:
    """What goes to the destination of an async invocation; None when it has none."""
    if one.revision.config.destination(condition) is None:
        return None
    ended = one.ended
    return destined.settled(ended.record, condition, ended.outcome.body, is_bytes=ended.outcome.is_bytes)


def _not_final(ended: slots.Ended) -> model.Record:
    return msgspec.structs.replace(ended.record, final=False, dead=False)


def _nothing(_finished: invocations.Finished | None) -> None:
    pass
