"""One function, or one caller, that takes all it can get leaves room for the others, and what they have is counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest

from faas.core import errors, ids, model
from faas.core.calls import unrun
from faas.queue import (
    accepting,
    census,
    destined,
    guards,
    idempotency,
    invocations,
    outbox,
    records,
    retrying,
    secrets,
    shipping,
    whereabouts,
)
from faas.queue import bounds as limits
from tests.samples import record

MALLORY, ALICE = "203.0.113.9", "198.51.100.7"
HOUR_MS = 3_600_000


@pytest.fixture
async def queue(redis_url: str, prefix: str) -> AsyncIterator[invocations.Queue]:
    bounds = limits.Bounds(sync=100, asynchronous=200, total=300, total_bytes=100_000)
    keeping = limits.KeptOutcomes(answers_bytes=100_000)
    opened = await invocations.Queue.connect(redis_url, prefix, bounds, keeping=keeping)
    yield opened
    opened.close()


def an_invocation(
    size: int = 1, function: str = "a", caller: str | None = None, mode: model.Mode = model.Mode.ASYNC
) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function=function,
        revision=1,
        trigger="http",
        mode=mode,
        event=b'"' + b"x" * size + b'"',
        accepted_at_ms=1,
        caller=caller,
    )


async def fill(queue: invocations.Queue, size: int, delay_ms: int = 0, **of: str) -> int:
    """How many a greedy one gets in, until it is refused."""
    taken = 0
    try:
        while True:
            await queue.enqueue(an_invocation(size, **of), delay_ms=delay_ms)  # type: ignore[arg-type]
            taken += 1
    except errors.Throttled as refused:
        assert refused.http_status == 429
        return taken


@pytest.mark.parametrize("delay_ms", [0, HOUR_MS])
@pytest.mark.parametrize("size", [1, 4_000])
async def test_one_function_that_takes_all_it_can_get_leaves_the_half(
    queue: invocations.Queue, size: int, delay_ms: int
) -> None:
    taken = await fill(queue, size, delay_ms)
    assert taken in ((12,) if size > 1 else (150, 151))
    for mode in model.Mode:
        for _ in range(10):
            await queue.enqueue(an_invocation(500, "b", mode=mode))
    with pytest.raises(errors.Throttled):
        await queue.enqueue(an_invocation(size), delay_ms=delay_ms)


async def test_many_functions_that_take_all_they_can_get_leave_room_for_one_more(queue: invocations.Queue) -> None:
    taken = [await fill(queue, 100, function=f"greedy-{place}") for place in range(6)]
    assert taken[0] > taken[-1] > 0
    await queue.enqueue(an_invocation(1_000, "b"))


@pytest.mark.parametrize("delay_ms", [0, HOUR_MS])
@pytest.mark.parametrize("size", [1, 4_000])
async def test_one_caller_of_any_functions_leaves_room_to_others_of_the_same_functions_too(
    queue: invocations.Queue, size: int, delay_ms: int
) -> None:
    for function in ("a", "b", "c", "d"):
        with pytest.raises(errors.Throttled, match="has"):
            for _ in range(1_000):
                await queue.enqueue(an_invocation(size, function, MALLORY), delay_ms=delay_ms)
    for function in ("a", "b", "c", "d"):
        for caller in (ALICE, None):
            await queue.enqueue(an_invocation(4_000, function, caller))
    with pytest.raises(errors.Throttled, match="this caller has"):
        await queue.enqueue(an_invocation(4_000, "e", MALLORY))


@pytest.mark.parametrize("is_guarded", [False, True])
async def test_of_what_may_wait_for_one_revision_a_caller_gets_a_third(
    queue: invocations.Queue, is_guarded: bool
) -> None:
    taken = 0
    with pytest.raises(errors.Throttled, match="this caller has"):
        for number in range(200):
            guard = guards.Guard(key="objects", field=str(number), value="1") if is_guarded else guards.NONE
            await queue.enqueue(an_invocation(caller=MALLORY), guard)
            taken += 1
    assert taken in (66, 67), "of 200, though 300 may wait in all"


async def test_what_has_left_gives_its_room_back(queue: invocations.Queue) -> None:
    await fill(queue, 4_000, caller=MALLORY)
    while taken := await queue.claim("n", "a@1", 50):
        for claim in taken:
            await queue.finish_claimed(claim, record(claim.invocation), node="n")
    assert await queue.link.call("HGETALL", f"{queue.keys.held}:shares") == []
    assert await fill(queue, 4_000, caller=MALLORY) == 8


async def test_invocations_of_one_turn_are_shared_out_one_by_one(queue: invocations.Queue) -> None:
    """They leave for Redis in one step."""
    sent = [queue.enqueue(an_invocation(4_000, caller=caller)) for caller in [MALLORY] * 30 + [ALICE] * 3]
    answers = [await _of(one) for one in sent]
    assert answers[:8] == ["taken"] * 8
    assert set(answers[8:30]) == {"refused"}
    assert answers[30:] == ["taken"] * 3


async def _of(sent: object) -> str:
    try:
        await sent  # type: ignore[misc]
    except errors.Throttled:
        return "refused"
    return "taken"


async def shares(queue: invocations.Queue) -> dict[str, int]:
    """What the shares say."""
    flat = await queue.link.call("HGETALL", f"{queue.keys.held}:shares")
    return {name.decode(): int(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


async def counted(queue: invocations.Queue) -> dict[str, int]:
    """What there is, counted one by one."""
    found: Counter[str] = Counter()
    for ref in await queue.link.call("SMEMBERS", queue.keys.refs):
        name = ref.decode()
        packed = [
            fields[1]
            for stream in queue.keys.queues(name)
            for _, fields in await queue.link.call("XRANGE", stream, "-", "+")
        ]
        packed += await queue.link.call("HVALS", queue.keys.retrying_of(name))
        for each in packed:
            one = msgspec.msgpack.decode(each, type=model.Invocation)
            for of in (one.function, f"@{one.caller}" if one.caller else None):
                if of is not None:
                    found[of] += len(each)
                    found[f"{of} n"] += 1
        for way in (destined.SUCCESS, destined.FAILURE):
            for _, fields in await queue.link.call("XRANGE", queue.keys.outbox(name, way), "-", "+"):
                function = name.partition("@")[0]
                found[function] += len(fields[1]) + len(fields[3])
                found[f"{function} n"] += 1
    return dict(found)


async def counted_unrecorded(queue: invocations.Queue) -> dict[str, int]:
    """Whose bytes the records are that wait for the ledger, counted one by one."""
    found: Counter[str] = Counter()
    for _, fields in await queue.link.call("XRANGE", queue.keys.records, "-", "+"):
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        parts = msgspec.msgpack.decode(values[b"b"], type=list[msgspec.Raw]) if b"b" in values else [values[b"r"]]
        names = [msgspec.msgpack.decode(part, type=model.Record).function for part in parts]
        found[names[0]] += sum(map(len, values.values())) - sum(map(len, parts))
        for name, part in zip(names, parts, strict=True):
            found[name] += len(part)
    return dict(found)


def a_shipment(chance: random.Random, start: int) -> shipping.Shipment:
    """As a journal brings it: calls of several functions, none of which was in a queue."""
    ended = [record(an_invocation(1, chance.choice("abc"), mode=model.Mode.SYNC)) for _ in range(chance.randint(1, 20))]
    packed = msgspec.msgpack.encode(ended)
    sizes = Counter({f"{ended[0].function}@1": len(packed) - sum(len(msgspec.msgpack.encode(one)) for one in ended)})
    for one in ended:
        sizes[f"{one.function}@1"] += len(msgspec.msgpack.encode(one))
    counts = Counter(f"{one.function}@1" for one in ended)
    return shipping.Shipment("journal", start, start + 1, packed, counts, sizes)


class Moves:
    """What may happen to invocations, each thing chosen and done by chance; the names of its methods say what."""

    def __init__(self, queue: invocations.Queue, ledger: records.RecordsReader, chance: random.Random) -> None:
        self._queue = queue
        self._ledger = ledger
        self._chance = chance
        self._claims: list[invocations.Claim] = []
        self._waiting: list[tuple[str, model.Invocation]] = []

    async def some(self) -> str:
        """Do one thing; which."""
        most_wait = (self.come, self.come, self.claim, self.end, self.end)
        others = (self.come_later, self.go_back, self.retry, self.fall_due, self.cancel, self.leave)
        beside = (self.deliver, self.ship, self.read_records, self.refuse)
        do = self._chance.choice((*most_wait, *others, *beside))
        await do()
        return do.__name__

    async def come(self) -> None:
        await self._enqueue(self._chance.choice(tuple(model.Mode)), 0)

    async def come_later(self) -> None:
        await self._enqueue(model.Mode.ASYNC, HOUR_MS)

    async def _enqueue(self, mode: model.Mode, delay_ms: int) -> None:
        choose = self._chance.choice
        one = an_invocation(self._chance.randint(1, 900), choose("abc"), choose((MALLORY, ALICE, None)), mode)
        self._waiting.append((await self._queue.enqueue(one, delay_ms=delay_ms) or "", one))

    async def claim(self) -> None:
        self._claims += await self._queue.claim("n", f"{self._chance.choice('abc')}@1", 3)

    def _claimed(self) -> invocations.Claim | None:
        """Now and then one that has ended."""
        return self._chance.choice(self._claims) if self._claims else None

    async def end(self) -> None:
        if one := self._claimed():
            ended = record(one.invocation)
            settled = destined.settled(ended, model.Condition.SUCCESS)
            batch = [invocations.Finish(one.invocation, one.entry, ended, settled=settled, size=one.size)]
            await self._queue.send_finishes(one.invocation.ref, "n", batch, 0)

    async def go_back(self) -> None:
        if one := self._claimed():
            await self._queue.release(
                one,
                record=self._chance.choice((None, record(one.invocation))),
                again=self._chance.choice((None, msgspec.structs.replace(one.invocation, attempt=300))),
            )

    async def retry(self) -> None:
        if one := self._claimed():
            again = msgspec.structs.replace(one.invocation, attempt=300)
            await retrying.send(self._queue, one, record(again), again, self._chance.choice((0, HOUR_MS)))

    async def fall_due(self) -> None:
        await retrying.move_due(self._queue)

    async def cancel(self) -> None:
        if self._waiting:
            one = self._chance.choice(self._waiting)[1]
            found = await whereabouts.find(self._queue, one.id)
            if found is not None and found.invocation is not None:
                await whereabouts.cancel(self._queue, found.invocation, found.packed, unrun.cancelled(one, 1))

    async def leave(self) -> None:
        if self._waiting:
            entry, one = self._chance.choice(self._waiting)
            if entry and one.mode is model.Mode.SYNC:
                await accepting.abandon(self._queue, entry, one, unrun.rejected(one, 1, 1))

    async def deliver(self) -> None:
        await _deliver(self._queue, self._chance)

    async def ship(self) -> None:
        shipment = a_shipment(self._chance, await shipping.mark(self._queue, "journal"))
        await shipping.send(self._queue, shipment)
        await shipping.send(self._queue, shipment)

    async def read_records(self) -> None:
        await self._ledger.done(await self._ledger.read(self._chance.randint(1, 30), 1))

    async def refuse(self) -> None:
        deep = an_invocation(9, self._chance.choice("abc"))
        dead = unrun.too_deep(deep, 1, 1, most=16)
        told = destined.settled(dead, model.Condition.CHAIN_TOO_DEEP)
        await accepting.refuse(self._queue, deep, dead, guards.NONE, self._chance.choice((None, told)))


@pytest.mark.parametrize("seed", range(6))
async def test_shares_never_drift_whatever_happens_in_whatever_order(
    queue: invocations.Queue, redis_url: str, seed: int
) -> None:
    ledger = await records.RecordsReader.open(redis_url, queue.keys.prefix, "r")
    moves = Moves(queue, ledger, random.Random(seed))
    for _ in range(150):
        done = await moves.some()
        assert await shares(queue) == await counted(queue), done
        assert await census.unrecorded_shares(queue) == await counted_unrecorded(queue), done
    await ledger.close()


async def _deliver(queue: invocations.Queue, chance: random.Random) -> None:
    for box in await outbox.lengths(queue):
        for entry in await outbox.take(queue, box, "s", 1, 60_000):
            how = chance.choice(("away", "back", "on", "refused"))
            if how in ("away", "back"):
                await outbox.put_away(queue, entry)
            if how == "back":
                await outbox.put_back(queue, entry.settled, entry.invocation, chance.randint(0, 10**9))
            elif how == "on":
                await outbox.pass_on(queue, entry, an_invocation(9, "b"), most_waiting=100)
            elif how == "refused":
                deep = an_invocation(9, "c")
                dead = unrun.too_deep(deep, 1, 1, most=16)
                settled = destined.settled(dead, model.Condition.CHAIN_TOO_DEEP)
                refusal = outbox.Refusal(dead, chance.choice((None, settled)))
                await outbox.pass_on(queue, entry, deep, most_waiting=100, refusal=refusal)


async def test_shares_of_an_older_platform_are_counted_when_it_is_brought_up(
    queue: invocations.Queue, redis_url: str
) -> None:
    await queue.enqueue(an_invocation(100))
    await queue.enqueue(an_invocation(200, "b"), delay_ms=HOUR_MS)
    await queue.link.call("DEL", f"{queue.keys.held}:shares")
    await queue.link.call("SET", queue.keys.format, "5")
    later = await invocations.Queue.connect(redis_url, queue.keys.prefix)
    later.close()
    assert await shares(queue) == await counted(queue)


async def test_keys_with_large_answers_of_one_function_or_caller_leave_room_for_others(
    queue: invocations.Queue,
) -> None:
    async def ask(key: str, function: str, caller: str) -> None:
        once = idempotency.asked(key, function, b"", (b"",), 60_000, caller)
        ended = record(an_invocation(1, function, caller))

        async def run() -> model.Outcome:
            return model.Outcome(record=ended, body=b"x" * 9_000)

        await idempotency.answer(queue, once, ended.invocation_id, run, within_ms=5_000)

    with pytest.raises(errors.Throttled, match="of this caller"):
        for place in range(100):
            await ask(f"k{place}", "a", MALLORY)
    await ask("mine", "a", ALICE)
    with pytest.raises(errors.Throttled, match="of this"):
        for place in range(100):
            await ask(f"l{place}", "a", f"192.0.2.{place}")
    await ask("mine", "b", ALICE)
    with pytest.raises(errors.Throttled):
        await ask("more", "b", MALLORY)


async def test_room_of_keys_whose_time_is_over_is_given_back(queue: invocations.Queue) -> None:
    for place in range(5):
        once = idempotency.asked(f"k{place}", "a", b"", (b"",), 60_000, MALLORY)
        await idempotency.accept(queue, once, an_invocation(1, caller=MALLORY))
        await queue.link.call("DEL", queue.keys.once(once.name))  # as when its time is over
    later = idempotency.asked("later", "a", b"", (b"",), 60_000, MALLORY)
    await idempotency.accept(queue, later, an_invocation(1, caller=MALLORY))
    flat = await queue.link.call("HGETALL", f"{queue.keys.answers}:shares")
    assert flat == [b"a", b"300", f"@{MALLORY}".encode(), b"300"]


async def test_a_refusal_without_a_guard_is_written_each_time(queue: invocations.Queue) -> None:
    for _ in range(2):
        deep = an_invocation()
        assert await accepting.refuse(queue, deep, unrun.too_deep(deep, 1, 1, most=16), guards.NONE)
    counts = (await queue.counts())["a@1"]
    assert (counts.accepted, counts.dead, counts.drift) == (2, 2, 0)


async def test_the_secret_of_chains_is_made_once_for_all_processes(
    queue: invocations.Queue, redis_url: str, prefix: str
) -> None:
    other = await invocations.Queue.connect(redis_url, prefix)
    assert await secrets.chain(queue) == await secrets.chain(other)
    assert len(await secrets.chain(other)) == 64
    other.close()
