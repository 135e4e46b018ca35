"""The moves of invocations in any order, against a model: every one is in one place, every attempt has one record."""

from __future__ import annotations

import asyncio
import collections
import time
import uuid
from collections.abc import Awaitable
from typing import Any, TypeVar

import hypothesis
import msgspec
from hypothesis import stateful
from hypothesis import strategies as st

from faas.cluster import leases
from faas.core import errors, ids, model
from faas.queue import (
    accepting,
    active,
    bounds,
    census,
    destined,
    guards,
    idempotency,
    invocations,
    retrying,
    shipping,
    whereabouts,
)
from faas.queue import server as servers
from tests.samples import record

T = TypeVar("T")
_NODES = ("n1", "n2", "n3")
_REF = "echo@3"
_MOST_WAITING = 4
_SETTLED = ("done", "dead")
_GATEWAY = "gateway"

Ended = tuple[tuple[str, invocations.Claim], bool, bool, bool]
"""A node and its claim; whether it is dead, has a destination, and the size of its invocation is known."""

nodes = st.sampled_from(_NODES)
modes = st.sampled_from(list(model.Mode))
few = st.integers(0, 2)


class Known:
    """What the model knows of one invocation: its place, and of a claim its entry and who holds it."""

    def __init__(self, invocation: model.Invocation, place: str, entry: str = "", node: str = "") -> None:
        self.invocation = invocation
        self.place = place
        self.entry = entry
        self.node = node

    def __repr__(self) -> str:
        return f"<{self.invocation.id[-4:]} attempt {self.invocation.attempt} {self.place} {self.entry} {self.node}>"


class Journal:
    """What ended on a node, in order; how many of them Redis has."""

    def __init__(self) -> None:
        self.ended: list[model.Invocation] = []
        self.mark = 0


class QueueMachine(stateful.RuleBasedStateMachine):
    """Nodes claim, finish, die, are taken over and go on as if they had not been; their journals are shipped."""

    claims = stateful.Bundle("claims")
    shipments = stateful.Bundle("shipments")
    entries = stateful.Bundle("entries")

    def __init__(self, redis_url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.queue = self.wait(
            invocations.Queue.connect(
                redis_url,
                f"t{uuid.uuid4().hex[:12]}",
                bounds=bounds.Bounds(sync=_MOST_WAITING, asynchronous=_MOST_WAITING),
            )
        )
        self.known: dict[str, Known] = {}
        self.records: collections.Counter[tuple[str, int]] = collections.Counter()
        self.guards: dict[tuple[str, str], str] = {}
        self.recorded: collections.Counter[tuple[str, int]] = collections.Counter()
        self.keys: dict[str, tuple[str, str]] = {}
        self.journals: dict[str, Journal] = {node: Journal() for node in _NODES}
        self.replied: collections.Counter[str] = collections.Counter()
        self.delivered: collections.Counter[str] = collections.Counter()
        for node in _NODES:
            self.renew(node)

    def wait(self, coroutine: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await coroutine

        return self.runner.run(awaited())

    def command(self, *words: str | bytes | int) -> Any:
        async def sent() -> Any:
            return await self.queue.link.call(*words)

        return self.runner.run(sent())

    def teardown(self) -> None:
        self.queue.close()
        self.runner.close()

    # -- what comes in

    @stateful.rule()
    def prepare(self) -> None:
        self.wait(self.queue.prepare(_REF))

    @stateful.rule(target=entries, mode=modes)
    def enqueue(self, mode: model.Mode) -> Any:
        return self.enqueued(made(mode), guards.NONE)

    @stateful.rule(target=entries, field=st.sampled_from("ab"), value=few, monotonic=st.booleans())
    def enqueue_once(self, field: str, value: int, monotonic: bool) -> Any:
        key = "timers" if monotonic else "objects"
        guard = guards.Guard(key=key, field=field, value=str(value), monotonic=monotonic)
        return self.enqueued(made(model.Mode.ASYNC), guard)

    def enqueued(self, invocation: model.Invocation, guard: guards.Guard) -> Any:
        done_before = self.refuses(guard)
        waiting = sum(k.place == "waiting" and k.invocation.mode == invocation.mode for k in self.known.values())
        try:
            entry = self.wait(self.queue.enqueue(invocation, guard))
        except errors.Throttled:
            assert waiting >= _MOST_WAITING
            assert not done_before
            return stateful.multiple()
        assert (entry is None) == done_before
        if entry is None:
            return stateful.multiple()
        assert waiting < _MOST_WAITING
        if guard is not guards.NONE:
            self.guards[guard.key, guard.field] = guard.value
        self.known[invocation.id] = Known(invocation, "waiting", entry)
        return invocation, entry

    @stateful.rule(target=entries, key=st.sampled_from("ab"), digest=st.sampled_from("12"))
    def enqueue_with_key(self, key: str, digest: str) -> Any:
        invocation = made(model.Mode.ASYNC)
        asked = idempotency.KeyedCall(key, digest, 60_000)
        known = self.keys.get(key)
        waiting = sum(k.place == "waiting" and k.invocation.mode == invocation.mode for k in self.known.values())
        try:
            id = self.wait(idempotency.accept(self.queue, asked, invocation))
        except errors.KeyReused:
            assert known is not None and known[1] != digest
            return stateful.multiple()
        except errors.Throttled:
            assert known is None and waiting >= _MOST_WAITING
            return stateful.multiple()
        if known is not None:
            assert (id, digest) == known
            return stateful.multiple()
        self.keys[key] = id, digest
        self.known[id] = Known(invocation, "waiting")
        self.look_up(self.known[id])
        return invocation, self.known[id].entry

    def refuses(self, guard: guards.Guard) -> bool:
        held = self.guards.get((guard.key, guard.field))
        if held is None:
            return False
        return int(held) >= int(guard.value) if guard.monotonic else held == guard.value

    @stateful.rule(field=st.sampled_from("ab"), value=few)
    def refuse(self, field: str, value: int) -> None:
        invocation = made(model.Mode.ASYNC)
        guard = guards.Guard(key="objects", field=field, value=str(value))
        expected = not self.refuses(guard)
        assert self.wait(accepting.refuse(self.queue, invocation, record(invocation, dead=True), guard)) == expected
        if expected:
            self.guards[guard.key, guard.field] = guard.value
            self.known[invocation.id] = Known(invocation, "dead", "never queued")
            self.records[invocation.id, 1] += 1

    @stateful.rule(node=nodes, count=st.integers(1, 3))
    def hand_off(self, node: str, count: int) -> None:
        """Calls run on a node and end; Redis hears of them when the node's journal is shipped."""
        self.journals[node].ended += [made(model.Mode.SYNC) for _ in range(count)]

    @stateful.rule(target=shipments, node=nodes, count=st.integers(1, 4))
    def cut(self, node: str, count: int) -> Any:
        """Batches from where Redis has the journal; whoever cut one may die, and another cut the next elsewhere."""
        journal = self.journals[node]
        start, last = journal.mark, len(journal.ended)
        ends = {min(start + count, last), last} - {start}
        return stateful.multiple(*(self.shipment(node, start, end) for end in sorted(ends)))

    def shipment(self, node: str, start: int, end: int) -> shipping.Shipment:
        packed = msgspec.msgpack.encode([record(call) for call in self.journals[node].ended[start:end]])
        return shipping.Shipment(node, start, end, packed, {_REF: end - start})

    @stateful.rule(shipment=shipments)
    def ship(self, shipment: shipping.Shipment) -> None:
        """For the first time or again, by who cut it or by who took the journal over; and batches that overlap."""
        journal = self.journals[shipment.journal]

        async def sent() -> shipping.Shipped:
            return shipping.shipped(await shipping.send(self.queue, shipment), shipment)

        shipped = self.wait(sent())
        if journal.mark == shipment.start:
            for call in journal.ended[shipment.start : shipment.end]:
                self.known[call.id] = Known(call, "running")
                self.settle(self.known[call.id], "done")
            journal.mark = shipment.end
        assert shipped.mark == journal.mark == self.wait(shipping.mark(self.queue, shipment.journal))

    # -- what becomes of it

    @stateful.rule(target=claims, node=nodes, count=st.integers(1, 3))
    def claim(self, node: str, count: int) -> Any:
        return self.claimed(node, self.wait(self.queue.claim(node, _REF, count)), count)

    def claimed(self, node: str, got: list[invocations.Claim], most: int) -> Any:
        waiting = [k for k in self.known.values() if k.place == "waiting"]
        waiting.sort(key=lambda k: (k.invocation.mode is model.Mode.ASYNC, order(k.entry)))
        assert [claim.entry for claim in got] == [k.entry for k in waiting[:most]]
        for claim in got:
            known = self.known[claim.invocation.id]
            assert known.invocation == claim.invocation
            known.place, known.node = "claimed", node
        return stateful.multiple(*((node, claim) for claim in got))

    def holds(self, claim: invocations.Claim) -> Known | None:
        known = self.known[claim.invocation.id]
        return known if known.place == "claimed" and known.entry == claim.entry else None

    @stateful.rule(
        target=claims,
        held=st.lists(st.tuples(claims, st.booleans(), st.booleans(), st.booleans()), max_size=4),
        node=nodes,
        claim_next=few,
    )
    def finish_some(self, held: list[Ended], node: str, claim_next: int) -> Any:
        """A batch, in which some may have lost their lease, or have been finished before, also in this batch."""
        return self.finish(held, node, claim_next)

    def finish(self, held: list[Ended], node: str, claim_next: int) -> Any:
        batch, expected = [], []
        for (_, claim), is_dead, has_destination, is_size_known in held:
            left = record(claim.invocation, dead=is_dead)
            condition = model.Condition.RETRIES_EXHAUSTED if is_dead else model.Condition.SUCCESS
            settled = destined.settled(left, condition) if has_destination else None
            reply = msgspec.msgpack.encode(model.Outcome(record=left))
            size = claim.size if is_size_known else 0
            batch.append(invocations.Finish(claim.invocation, claim.entry, left, reply, settled, size))
            known = self.holds(claim)
            expected.append(known is not None)
            if known is not None:
                self.settle(known, "dead" if is_dead else "done")
                if claim.invocation.mode is model.Mode.SYNC:
                    self.replied[claim.invocation.id] += 1
                elif has_destination:
                    self.delivered[claim.invocation.id] += 1

        async def sent() -> invocations.Finished:
            return invocations.finished(await self.queue.send_finishes(_REF, node, batch, claim_next), batch)

        finished = self.wait(sent())
        assert finished.settled == tuple(expected)
        claimed = self.claimed(node, list(finished.claims), claim_next)
        assert finished.left == sum(k.place == "waiting" for k in self.known.values())
        return claimed

    @stateful.rule(target=claims, node=nodes, is_dead=st.booleans(), has_destination=st.booleans(), claim_next=few)
    def finish_all(self, node: str, is_dead: bool, has_destination: bool, claim_next: int) -> Any:
        """All that a node runs ends in the same turn."""
        held = [k for k in self.known.values() if k.node == node and k.place == "claimed"]
        claims = [(node, invocations.Claim(k.entry, k.invocation)) for k in held]
        return self.finish([(claim, is_dead, has_destination, False) for claim in claims], node, claim_next)

    @stateful.rule(held=claims, has_run=st.booleans())
    def release(self, held: tuple[str, invocations.Claim], has_run: bool) -> None:
        _, claim = held
        known = self.holds(claim)
        again = leases.next_attempt(claim.invocation) if has_run else None
        lost = record(claim.invocation, model.Status.LOST) if has_run else None
        assert self.wait(self.queue.release(claim, again=again, record=lost)) == (known is not None)
        if known is not None:
            self.requeue(known, has_run)

    @stateful.rule(held=claims)
    def retry(self, held: tuple[str, invocations.Claim]) -> None:
        _, claim = held
        known = self.holds(claim)
        again = leases.next_attempt(claim.invocation)

        async def put_off() -> invocations.Finished:
            left = record(claim.invocation, model.Status.ERROR)
            return invocations.finished(await retrying.send(self.queue, claim, left, again, 0), (claim,))

        assert self.wait(put_off()).settled == (known is not None,)
        if known is not None:
            self.records[claim.invocation.id, claim.invocation.attempt] += 1
            known.place, known.invocation, known.entry = "retrying", again, ""

    @stateful.rule(most=st.integers(1, 3))
    def move_due(self, most: int) -> None:
        due = [k for k in self.known.values() if k.place == "retrying"]
        moved, _ = self.wait(retrying.move_due(self.queue, most))
        assert moved == min(most, len(due))
        waiting = {invocation.id for mode in model.Mode for _, invocation in self.entries_of(mode)}
        arrived = [known for known in due if known.invocation.id in waiting]
        assert len(arrived) == moved
        for known in arrived:
            known.place = "waiting"
            self.look_up(known)

    @stateful.rule(sent=entries)
    def cancel(self, sent: tuple[model.Invocation, str]) -> None:
        """As it waits now, and as it was when it came in: somebody may have looked before it was retried."""
        known = self.known[sent[0].id]
        for as_seen in (sent[0], known.invocation):
            is_async = as_seen.mode is model.Mode.ASYNC
            expected = is_async and known.place in ("waiting", "retrying") and as_seen == known.invocation
            assert (
                self.wait(whereabouts.cancel(self.queue, as_seen, msgspec.msgpack.encode(as_seen), record(as_seen)))
                == expected
            )
            if expected:
                self.settle(known, "done")

    @stateful.rule(sent=entries.filter(lambda sent: sent[0].mode is model.Mode.SYNC))
    def abandon(self, sent: tuple[model.Invocation, str]) -> None:
        """Only sync calls have callers who hang up."""
        invocation, entry = sent
        known = self.known[invocation.id]
        expected = known.place == "waiting" and known.entry == entry

        async def abandoned() -> int:
            left: int = await accepting.abandon(self.queue, entry, invocation, record(invocation))
            return left

        assert self.wait(abandoned()) == expected
        if expected:
            self.settle(known, "done")

    # -- nodes come and go

    @stateful.rule(node=nodes)
    def renew(self, node: str) -> None:
        self.command("SADD", self.queue.keys.nodes, node)
        self.command("SET", self.queue.keys.node(node), "{}")

    @stateful.rule(node=nodes)
    def lapse(self, node: str) -> None:
        self.command("DEL", self.queue.keys.node(node))

    @stateful.rule(node=nodes, is_dead=st.booleans(), seen=st.sampled_from([b"", b"{}"]))
    def take_over(self, node: str, is_dead: bool, seen: bytes) -> None:
        """Of a dead node, of one that is alive after all, and of one that was taken over already."""
        if is_dead:
            self.lapse(node)
        held = [k for k in self.known.values() if k.node == node and k.place == "claimed"]
        assert self.wait(leases.take_over(self.queue, node, seen)) == len(held)
        for known in sorted(held, key=lambda k: (k.invocation.mode is model.Mode.ASYNC, order(k.entry))):
            if leases.may_run_again(known.invocation):
                self.requeue(known, has_run=True)
            else:
                is_sync = known.invocation.mode is model.Mode.SYNC
                self.settle(known, "done" if is_sync else "dead")
                (self.replied if is_sync else self.delivered)[known.invocation.id] += 1
        assert (node in self.wait(leases.dead_nodes(self.queue))) is False

    @stateful.rule(node=nodes, mode=modes)
    def forget(self, node: str, mode: model.Mode) -> None:
        held = any(k.place == "claimed" and (k.node, k.invocation.mode) == (node, mode) for k in self.known.values())
        assert self.wait(leases.forget(self.queue, node, self.queue.keys.queue(_REF, mode))) is not held

    @stateful.rule(most=st.integers(1, 2))
    def record_some(self, most: int) -> None:
        """The ledger takes some and says so, twice: the first answer was lost."""
        page = self.command("XRANGE", self.queue.keys.records, "-", "+", "COUNT", most)
        for left in records_of(page):
            self.recorded[left.invocation_id, left.attempt] += 1
        entries = msgspec.msgpack.encode([entry.decode() for entry, _ in page])
        sizes = msgspec.msgpack.encode([sum(map(len, fields[1::2])) for _, fields in page])
        for _ in range(2 if page else 0):
            keys = self.queue.keys
            names = (keys.records, keys.held, keys.sinks)
            self.command("EVAL", servers.source("recorded"), 3, *names, 1 << 62, entries, sizes, "recorders")

    # -- what always holds

    @stateful.invariant()
    def the_counter_of_the_bounds_is_right(self) -> None:
        held = self.wait(census.held(self.queue))
        assert held.is_right, held

    @stateful.invariant()
    def nodes_look_where_work_is(self) -> None:
        assert self.wait(active.find_missing(self.queue)) == []

    @stateful.invariant()
    def whoever_asks_is_told_the_place(self) -> None:
        for known in self.known.values():
            if known.invocation.mode is model.Mode.ASYNC and known.entry != "never queued":
                found = self.wait(whereabouts.find(self.queue, known.invocation.id))
                told = "running" if known.place == "claimed" else known.place
                assert found is not None and found.place == told, (found, known)

    @stateful.invariant()
    def all_are_counted_where_they_are(self) -> None:
        places = collections.Counter(k.place for k in self.known.values())
        expected = model.Counts(
            accepted=len(self.known),
            waiting=places["waiting"],
            running=places["claimed"],
            retrying=places["retrying"],
            done=places["done"],
            dead=places["dead"],
        )
        assert self.wait(self.queue.counts()).get(_REF, model.Counts()) == expected
        assert expected.drift == 0

    @stateful.invariant()
    def each_is_in_one_place(self) -> None:
        found = collections.Counter(self.queued())
        assert set(found.values()) <= {1}, found
        assert set(found) == {id for id, k in self.known.items() if k.place not in (*_SETTLED, "retrying")}

    @stateful.invariant()
    def each_attempt_that_is_over_has_one_record(self) -> None:
        entries = self.command("XRANGE", self.queue.keys.records, "-", "+")
        waiting = collections.Counter((each.invocation_id, each.attempt) for each in records_of(entries))
        assert waiting + self.recorded == self.records
        assert set(self.records.values()) <= {1}

    @stateful.invariant()
    def whoever_waits_and_each_destination_has_one_outcome_of_each(self) -> None:
        replies = self.command("XRANGE", self.queue.keys.reply(_GATEWAY), "-", "+")
        told = [id.decode() for _, fields in replies for id in fields[1::4]]
        assert collections.Counter(told) == self.replied
        outboxes = [self.queue.keys.outbox(_REF, way) for way in (destined.SUCCESS, destined.FAILURE)]
        entries = [fields for outbox in outboxes for _, fields in self.command("XRANGE", outbox, "-", "+")]
        kept = [msgspec.msgpack.decode(fields[3], type=model.Invocation).id for fields in entries]
        assert collections.Counter(kept) == self.delivered

    @stateful.invariant()
    def whoever_holds_work_and_has_no_lease_is_found_dead(self) -> None:
        holders = {k.node for k in self.known.values() if k.place == "claimed"}
        dead = set(self.wait(leases.dead_nodes(self.queue)))
        assert {node for node in holders if not self.is_alive(node)} <= dead

    # -- the model's own steps

    def settle(self, known: Known, place: str) -> None:
        known.place = place
        self.records[known.invocation.id, known.invocation.attempt] += 1

    def requeue(self, known: Known, has_run: bool) -> None:
        """The script makes a new entry, of which only the queue knows the name."""
        if has_run:
            self.records[known.invocation.id, known.invocation.attempt] += 1
            known.invocation = leases.next_attempt(known.invocation)
        known.place = "waiting"
        before = known.entry
        self.look_up(known)
        assert known.entry != before

    def look_up(self, known: Known) -> None:
        """Learn the entry that a script made for what waits again."""
        for entry, invocation in self.entries_of(known.invocation.mode):
            if invocation.id == known.invocation.id:
                assert invocation == known.invocation
                known.entry = entry

    def is_alive(self, node: str) -> bool:
        return bool(self.command("EXISTS", self.queue.keys.node(node)))

    def entries_of(self, mode: model.Mode) -> list[tuple[str, model.Invocation]]:
        found = self.command("XRANGE", self.queue.keys.queue(_REF, mode), "-", "+")
        return [(entry.decode(), msgspec.msgpack.decode(pair[1], type=model.Invocation)) for entry, pair in found]

    def queued(self) -> list[str]:
        return [invocation.id for mode in model.Mode for _, invocation in self.entries_of(mode)]


def made(mode: model.Mode) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function="echo",
        revision=3,
        trigger="invoke",
        mode=mode,
        event=b"1",
        accepted_at_ms=time.time_ns() // 1_000_000,
        reply_to=_GATEWAY if mode is model.Mode.SYNC else None,
    )


def records_of(entries: list[Any]) -> list[model.Record]:
    """Those of some entries of the records stream, which hold one or several."""
    found: list[model.Record] = []
    for _, (name, packed, *_) in entries:
        found += msgspec.msgpack.decode(packed if name == b"b" else b"\x91" + packed, type=list[model.Record])
    return found


def order(entry: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry.split("-")) if entry else ()


def test_in_any_order_of_moves_each_invocation_is_in_one_place_and_each_attempt_has_one_record(redis_url: str) -> None:
    hypothesis.settings.register_profile("machine", max_examples=60, stateful_step_count=40, deadline=None)
    stateful.run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: QueueMachine(redis_url), settings=hypothesis.settings.get_profile("machine")
    )
