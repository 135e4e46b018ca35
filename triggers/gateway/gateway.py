"""The gateway: a request becomes an invocation, goes to a free slot or into the queue, and its outcome is the answer.

What the head of a request asks for is found out once (`Gateway.asked`); a client that sends the same head again on its
connection pays for the rest only (`Gateway.start`). A call that a slot of this node takes needs neither task nor
future; tasks are for what Redis is asked about.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from faas.core import clock, errors, events, ids, model
from faas.core.calls import calling, dispatch, tracing
from faas.core.http import headers, hosts
from faas.core.http import replies as http_replies
from faas.core.money import budgets
from faas.core.values import large_json
from faas.queue import accepting, calls, chains, guards, idempotency, invocations, replies
from triggers.gateway import answering, crossing, forwarded, identity, limits, marks, request, routes, running

_log = logging.getLogger(__name__)

_HEALTH = ("/healthz", "/readyz")
_SILENT_MS = 2_000
_NOT_READY_MS = 1_000


class Resolved(msgspec.Struct, frozen=True):
    """What the head of a request asks for, as long as the routes are those of ``table``.

    ``route`` is None for what the gateway answers itself: with ``reply``, or else with its health. ``is_plain`` is a
    sync call without an idempotency key. ``crossing`` are the header lines that browsers want of the answer.
    """

    head: request.Head
    table: routes.Routes
    route: routes.Route | None = None
    event: events.HttpHead | None = None
    call: calling.Asked = calling.Asked()
    chain: calling.Chain = calling.FIRST
    reply_to: str | None = None
    caller: str | None = None
    is_plain: bool = False
    crossing: str = ""
    reply: http_replies.Reply | None = None


class Gateway:
    """Answers requests for functions. ``table`` gives the routes as they are now; a deploy replaces them whole."""

    def __init__(
        self,
        queue: invocations.Queue,
        answers: replies.Replies,
        hand_off: dispatch.Dispatch,
        table: Callable[[], routes.Routes],
        bounds: limits.Limits,
    ) -> None:
        self.table = table
        self.limits = bounds
        self._queue = queue
        self._answers = answers
        self._hand_off = hand_off
        self._marks = marks.Marks(queue)
        self._ids = ids.Ids()
        self._tasks: set[asyncio.Task[None]] = set()

    def asked(self, head: request.Head, client_ip: str) -> Resolved:
        """What a head asks for. Raises `errors.FaasError` for what is refused whatever its body is."""
        table = self.table()
        # Before hosts are compared: whoever balances load asks by an address that no name stands for.
        if head.path in _HEALTH:
            return Resolved(head, table)
        if head.path == "*":
            return Resolved(head, table, reply=answering.NOTHING)
        seen = forwarded.seen(head, client_ip, self.limits.trusted_proxies)
        hosts.refuse_foreign(seen.host, self.limits.names)
        if (preflight := self._preflight(head, table)) is not None:
            return preflight
        match = table.find(head.method, head.path)
        route = match.route
        # Known only now: it was found by the name, and the prefix is to be told.
        if match.path is not None:
            seen = forwarded.seen(head, client_ip, self.limits.trusted_proxies, route.path)
        # By what the head says, before a byte of the body is taken.
        if head.length > self.limits.max_event_bytes:
            raise self.too_large()
        call = calling.asked(head.first)
        if call.delay_ms:
            _refuse_delay(call.delay_ms, route)
        chain = self._marks.chain(head.first)
        if tracing.PARENT in head.first:
            chain = calling.traced(chain, head.fields)
        event = events.http_head(
            method=route.as_seen(head.method),
            raw_path=head.path if match.path is None else match.path,
            raw_query=head.query,
            headers=seen.fields,
            source_ip=seen.client_ip,
            protocol=f"HTTP/{head.version}",
            route_key=route.key(head.method),
            path_parameters=match.parameters,
            domain=seen.host,
        )
        return Resolved(
            head=head,
            table=table,
            route=route,
            event=event,
            call=call,
            chain=chain,
            reply_to=self._answers.address if call.mode is model.Mode.SYNC else None,
            caller=identity.of_address(seen.client_ip),
            is_plain=call.mode is model.Mode.SYNC and call.key is None and chain.depth <= chains.MAX_DEPTH,
            crossing=crossing.lines(route.cors, head.first),
        )

    def crossing(self, head: request.Head) -> str:
        """The header lines that browsers want of an answer which no route gives: that a request is refused."""
        return crossing.lines(self.table().crossing(head.path), head.first)

    def _preflight(self, head: request.Head, table: routes.Routes) -> Resolved | None:
        """The answer to a browser that asks what a page of another origin may do; None when the function has it."""
        method = crossing.asked_method(head.method, head.first)
        cors = None if method is None else table.crossing(head.path)
        if method is None or cors is None:
            return None
        try:
            route = table.find(method, head.path).route
        except errors.MethodNotAllowed as error:
            takes = tuple(error.data["allow"].split(", "))
        else:
            if route.cors is None:
                return None
            cors, takes = route.cors, tuple(sorted(route.methods))
        reply = crossing.preflight(cors, takes, method, head.first)
        return Resolved(head, table, crossing=crossing.lines(cors, head.first), reply=reply)

    def fresh(self, answered: running.Answered) -> running.Running:
        """A request that is about to be started."""
        now_ms = clock.now_ms()
        return running.Running(self._ids.at(now_ms), now_ms, answered, self._enqueue)

    def start(self, one: running.Running, asked: Resolved, body: bytes) -> None:
        """Work on a request. It may be answered before this returns."""
        try:
            route, given = asked.route, asked.event
            if route is None or given is None:
                one.invocation_id = ""  # none is made
                one.say(asked.reply or self._health(asked.head.path))
                return
            event = events.http_event(given, body, invocation_id=one.invocation_id, time_ms=one.begun_ms)
            # Once more: as JSON a body may be a third larger than it came (base64), and headers come to it.
            if len(event) > self.limits.max_event_bytes:
                raise self.too_large()
            self._invoke(one, asked, route, event, body)
        except errors.FaasError as error:
            one.fail(error)
        except Exception:  # noqa: BLE001 - whatever is not foreseen costs its own request only
            one.break_down()

    def _invoke(self, one: running.Running, asked: Resolved, route: routes.Route, event: bytes, body: bytes) -> None:
        revision, call = route.revision, asked.call
        if route.stop is not None:
            budgets.refuse(revision.function, route.stop, one.begun_ms)
        invocation = calling.invocation(
            revision,
            id=one.invocation_id,
            way="http",
            mode=call.mode,
            event=event,
            at_ms=one.begun_ms,
            place=route.place,
            reply_to=asked.reply_to,
            chain=asked.chain,
            caller=asked.caller,
        )
        # What nearly every call is, and what needs no task: a free slot takes it here, or the line does.
        if asked.is_plain:
            one.waiting = (invocation, revision.config)
            if not self._hand_off.offer(invocation, one):
                self._enqueue(one)
        elif asked.chain.depth > chains.MAX_DEPTH:
            self._begin(one, self._stop_chain(invocation, revision.config))
        elif call.key is None:
            self._begin(one, self._accept(invocation, call.delay_ms))
        else:
            self._begin(one, self._once(one, asked, call.key, invocation, revision.config, body))

    async def close(self) -> None:
        """Wait for what is still said to Redis of requests whose clients have gone."""
        await self._marks.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # -- ways that ask Redis

    def _begin(self, one: running.Running, work: Coroutine[None, None, http_replies.Reply]) -> None:
        task = asyncio.get_running_loop().create_task(self._follow(one, work), name=f"request {one.invocation_id}")
        one.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, one: running.Running, work: Coroutine[None, None, http_replies.Reply]) -> None:
        try:
            reply = await work
        except errors.FaasError as error:
            one.fail(error)
        except Exception:  # noqa: BLE001 - as in `start`
            one.break_down()
        else:
            one.say(reply)

    def _enqueue(self, one: running.Running) -> None:
        if one.waiting is not None:
            self._begin(one, self._through_queue(*one.waiting))

    async def _through_queue(self, invocation: model.Invocation, config: model.FunctionConfig) -> http_replies.Reply:
        return await answering.of_any_outcome(await self._queued(invocation, config))

    async def _queued(self, invocation: model.Invocation, config: model.FunctionConfig) -> model.Outcome:
        self._refuse_without_redis()
        return await calls.outcome(
            self._queue,
            self._answers,
            invocation,
            memory_limit_mb=config.memory_mb,
            within_ms=self.limits.max_queue_wait_ms + config.timeout_ms,
        )

    async def _stop_chain(self, invocation: model.Invocation, config: model.FunctionConfig) -> http_replies.Reply:
        """Write down what does not run, as what comes from an object or a function would be. Raises `ChainTooDeep`."""
        self._refuse_without_redis()
        refusal = chains.refusal(invocation, config)
        await calls.heard(accepting.refuse(self._queue, invocation, refusal.record, guards.NONE, refusal.settled))
        extra = {"function": invocation.function, "invocation_id": invocation.id, "depth": invocation.depth}
        _log.error("chain_stopped", extra=extra)
        raise errors.ChainTooDeep(
            f"link {invocation.depth} of a chain of functions that trigger one another",
            hint="one of them has a URL of this gateway as its destination",
            limit=chains.MAX_DEPTH,
        )

    async def _accept(self, invocation: model.Invocation, delay_ms: int) -> http_replies.Reply:
        self._refuse_without_redis()
        await calls.heard(self._queue.enqueue(invocation, delay_ms=delay_ms))
        return answering.accepted(invocation.id)

    async def _once(
        self,
        one: running.Running,
        asked: Resolved,
        key: str,
        invocation: model.Invocation,
        config: model.FunctionConfig,
        body: bytes,
    ) -> http_replies.Reply:
        """The answer to a call with an idempotency key, which another invocation may have given.

        The key is the caller's own, as far as the head tells who it is. The request that it stands for is its method,
        its target and its body.
        """
        self._refuse_without_redis()
        what = (str(asked.call.mode).encode(), asked.head.method.encode(), asked.head.target.encode(), body)
        # Whoever sends another's key must not get another's answer.
        caller = b"gateway\0" + identity.of_fields(asked.head.fields)
        once = await _hashed(body, key, invocation.function, caller, what, self.limits.keep_answers_ms, asked.caller)
        if asked.call.mode is model.Mode.ASYNC:
            one.invocation_id = await idempotency.accept(self._queue, once, invocation, delay_ms=asked.call.delay_ms)
            return answering.accepted(one.invocation_id)
        run = functools.partial(self._outcome, invocation, config)
        within_ms = self.limits.max_queue_wait_ms + config.timeout_ms
        outcome = await idempotency.answer(
            self._queue, once, invocation.id, run, within_ms=within_ms, to_keep=_without_cookies
        )
        one.invocation_id = outcome.record.invocation_id
        return await answering.of_any_outcome(outcome)

    async def _outcome(self, invocation: model.Invocation, config: model.FunctionConfig) -> model.Outcome:
        caller = running.Awaited()
        if self._hand_off.offer(invocation, caller):
            outcome = await caller.outcome
            # Without one it was not run here after all: others may have it.
            if outcome is not None:
                return outcome
        return await self._queued(invocation, config)

    # -- what is refused

    def _health(self, path: str) -> http_replies.Reply:
        link = self._queue.link
        return answering.health(is_well=path == "/healthz" or (link.is_open and link.silent_ms() < _NOT_READY_MS))

    def _refuse_without_redis(self) -> None:
        """A Redis that is there and silent (stopped, or swapping) is as good as none: nobody waits with it."""
        if (silent_ms := self._queue.link.silent_ms()) > _SILENT_MS:
            raise errors.Unavailable(f"Redis has said nothing for {silent_ms} ms", hint="see `faas doctor`")

    def too_large(self) -> errors.TooLarge:
        """The refusal of an event, or a body, that is larger than events may be."""
        return calling.too_large(self.limits.max_event_bytes)


def _refuse_delay(delay_ms: int, route: routes.Route) -> None:
    """Raise `errors.Forbidden` for a delay that the route does not allow: what waits for long takes others' room."""
    config, place = route.revision.config, route.place
    trigger = None if place is None else config.triggers[place]
    most_ms = trigger.max_delay_ms if isinstance(trigger, model.HttpTrigger) else config.max_delay_ms
    if delay_ms > most_ms:
        allowed = f"at most {most_ms} ms" if most_ms else "not at all"
        raise errors.Forbidden(
            f"{headers.DELAY}: calls by {route.path} may be delayed {allowed}",
            hint="its http trigger can allow it: max_delay: 10m; whoever has the token calls by the control API",
            limit=most_ms,
        )


async def _hashed(body: bytes, *given: Any) -> idempotency.KeyedCall:
    """What a request asks once. The digest of a large one is made in a thread."""
    if len(body) > large_json.LARGE_BYTES:
        return await large_json.apart(idempotency.asked, *given)
    return idempotency.asked(*given)


async def _without_cookies(outcome: model.Outcome) -> model.Outcome:
    """A cookie is for who called; the one who asks again with the key may be another whom nothing tells apart."""
    if outcome.is_bytes or outcome.record.status is not model.Status.OK:
        return outcome
    if answering.takes_long(outcome):
        body = await large_json.apart(http_replies.without_cookies, outcome.body)
    else:
        body = http_replies.without_cookies(outcome.body)
    return msgspec.structs.replace(outcome, body=body)
