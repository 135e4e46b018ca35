"""The gateway: a request becomes an invocation, goes to a free slot or into the queue, and its outcome is the response.

Every response carries ``Faas-Invocation-Id`` once there is one; a failure says in ``Faas-Error`` whose fault it was
(``function`` or ``platform``). Send ``Faas-Invocation-Type: async`` for a 202 instead of the result.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable

import msgspec
from aiohttp import ClientPayloadError, http_exceptions, web
from multidict import CIMultiDict

from faas.core import dispatch, durations, errors, events, http_replies, ids, model
from faas.queue import calls, idempotency, invocations, replies
from triggers import routes

_ID = "Faas-Invocation-Id"
_FAULT = "Faas-Error"
_TYPE = "Faas-Invocation-Type"
_SILENT_MS = 2_000

_log = logging.getLogger("faas.gateway")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway accepts: event bytes, how long a sync call may wait for a slot, beside its own timeout, and how
    long a body may take to come."""

    max_event_bytes: int
    max_queue_wait_ms: int
    receive_timeout_ms: int = 30_000
    keep_answers_ms: int = 86_400_000


class Gateway:
    """Answers requests for functions. ``table`` gives the routes as they are now; a deploy replaces them whole."""

    def __init__(
        self,
        queue: invocations.Queue,
        answers: replies.Replies,
        hand_off: dispatch.Dispatch,
        table: Callable[[], routes.Routes],
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._answers = answers
        self._hand_off = hand_off
        self._table = table
        self._limits = limits

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The one request handler, for `aiohttp.web.Server`."""
        invocation_id = ids.new_id()
        try:
            if request.path in ("/healthz", "/readyz"):
                return self._health(request.path)
            match = self._table().find(request.method, _raw_path(request))
            self._refuse_without_redis()
            return await self._call(request, match, invocation_id)
        except errors.FaasError as error:
            return refusal(error, invocation_id)
        except Exception:  # noqa: BLE001 - whatever is not foreseen is a plain 500, its stack goes to the log only
            _log.exception("request failed", extra={"invocation_id": invocation_id})
            return refusal(errors.FaasError("the gateway failed; see its log"), invocation_id)

    def _health(self, path: str) -> web.Response:
        ready = path == "/healthz" or (self._queue.link.is_open and self._queue.link.silent_ms() < 1000)
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    def _refuse_without_redis(self) -> None:
        """A Redis that is there and silent (stopped, or swapping) is as good as none: nobody waits with it."""
        if (silent_ms := self._queue.link.silent_ms()) > _SILENT_MS:
            raise errors.Unavailable(f"Redis has said nothing for {silent_ms} ms", hint="see `faas doctor`")

    async def _call(self, request: web.BaseRequest, match: routes.Match, invocation_id: str) -> web.Response:
        mode = _mode(request)
        body = await self._body(request)
        invocation = self._invocation(request, match, mode, invocation_id, body)
        if (key := request.headers.get(idempotency.HEADER)) is not None:
            return await self._once(request, invocation, match.route.revision.config, key, body)
        if mode is model.Mode.ASYNC:
            await calls.heard(self._queue.enqueue(invocation, delay_ms=_delay_ms(request)))
            return _accepted(invocation_id)
        outcome = await self._outcome(invocation, match.route.revision.config)
        return _response(outcome)

    async def _once(
        self,
        request: web.BaseRequest,
        invocation: model.Invocation,
        config: model.FunctionConfig,
        key: str,
        body: bytes,
    ) -> web.Response:
        """The answer to a call with an idempotency key; the request is its method, its target and its body."""
        what = (str(invocation.mode).encode(), request.method.encode(), request.raw_path.encode(), body)
        asked = idempotency.asked(key, invocation.function, what, self._limits.keep_answers_ms)
        if invocation.mode is model.Mode.ASYNC:
            return _accepted(await idempotency.accept(self._queue, asked, invocation, delay_ms=_delay_ms(request)))
        within_ms = self._limits.max_queue_wait_ms + config.timeout_ms
        run = functools.partial(self._outcome, invocation, config)
        return _response(await idempotency.answer(self._queue, asked, invocation.id, run, within_ms=within_ms))

    def _invocation(
        self, request: web.BaseRequest, match: routes.Match, mode: model.Mode, invocation_id: str, body: bytes
    ) -> model.Invocation:
        now_ms = time.time_ns() // 1_000_000
        revision = match.route.revision
        event = events.http_event(
            method=request.method,
            raw_path=_raw_path(request),
            raw_query=request.rel_url.raw_query_string,
            headers=request.headers.items(),
            body=body,
            source_ip=request.remote or "",
            protocol=f"HTTP/{request.version.major}.{request.version.minor}",
            invocation_id=invocation_id,
            route_key=match.route.key(request.method),
            path_parameters=match.parameters,
            domain=request.headers.get("Host", "localhost").partition(":")[0],
            time_ms=now_ms,
        )
        self._bounded(len(event))
        return model.Invocation(
            id=invocation_id,
            function=revision.function,
            revision=revision.number,
            trigger="http",
            mode=mode,
            event=event,
            accepted_at_ms=now_ms,
            reply_to=self._answers.address if mode is model.Mode.SYNC else None,
            trigger_place=match.route.place,
        )

    async def _body(self, request: web.BaseRequest) -> bytes:
        if not request.body_exists:
            return b""
        self._bounded(request.content_length or 0)
        body = bytearray()
        try:
            if request.content.is_eof():  # as it is for small bodies, which come with their headers
                body += request.content.read_nowait()
            else:
                async with asyncio.timeout(self._limits.receive_timeout_ms / 1000):
                    async for chunk in request.content.iter_any():
                        body += chunk
                        self._bounded(len(body))
        except TimeoutError as error:
            raise errors.TooSlow(f"the body has not come within {self._limits.receive_timeout_ms} ms") from error
        except (http_exceptions.HttpProcessingError, ClientPayloadError) as error:
            raise errors.BadRequest("the body breaks off, or is not encoded as its headers say") from error
        self._bounded(len(body))
        return bytes(body)

    def _bounded(self, size_bytes: int) -> None:
        if size_bytes > self._limits.max_event_bytes:
            raise errors.TooLarge(
                f"the event is over {self._limits.max_event_bytes} bytes",
                hint="put large things into a bucket and send their key",
                limit=self._limits.max_event_bytes,
            )

    async def _outcome(self, invocation: model.Invocation, config: model.FunctionConfig) -> model.Outcome:
        handed = self._hand_off.offer(invocation)
        if handed is not None:
            return await handed
        return await calls.outcome(
            self._queue,
            self._answers,
            invocation,
            memory_limit_mb=config.memory_mb,
            within_ms=self._limits.max_queue_wait_ms + config.timeout_ms,
        )


def _mode(request: web.BaseRequest) -> model.Mode:
    asked = request.headers.get(_TYPE, "async" if durations.DELAY_HEADER in request.headers else "sync").lower()
    if asked == model.Mode.SYNC and durations.DELAY_HEADER in request.headers:
        raise errors.BadRequest(f"{durations.DELAY_HEADER}: only an async call can be delayed")
    try:
        return model.Mode(asked)
    except ValueError as error:
        raise errors.BadRequest(f"{_TYPE}: found {asked!r}, expected sync or async") from error


def _accepted(invocation_id: str) -> web.Response:
    accepted = {"invocation_id": invocation_id, "status_url": f"/api/v1/invocations/{invocation_id}"}
    return web.json_response(accepted, status=202, headers={_ID: invocation_id})


def _delay_ms(request: web.BaseRequest) -> int:
    given = request.headers.get(durations.DELAY_HEADER)
    return 0 if given is None else durations.delay_ms(given)


def _raw_path(request: web.BaseRequest) -> str:
    return request.raw_path.partition("?")[0]


def _response(outcome: model.Outcome) -> web.Response:
    record = outcome.record
    if record.status is not model.Status.OK:
        return refusal(_failure(record), record.invocation_id)
    reply = http_replies.http_reply(outcome.body, outcome.is_bytes)
    headers = CIMultiDict(reply.headers)
    headers[_ID] = record.invocation_id
    return web.Response(status=reply.status, body=reply.body, headers=headers)


def _failure(record: model.Record) -> errors.FaasError:
    kind = record.error.type if record.error else str(record.status)
    if record.status is model.Status.TIMEOUT:
        timed_out = errors.TimedOut(f"{record.function} ran into its timeout", type=kind)
        timed_out.fault = "function"
        return timed_out
    if record.status in (model.Status.LOST, model.Status.REJECTED):
        return errors.Unavailable(f"the platform lost this attempt of {record.function}", type=kind)
    return errors.FunctionFailed(f"{record.function} failed", hint=f"faas logs {record.function}", type=kind)


def refusal(error: errors.FaasError, invocation_id: str) -> web.Response:
    """The response that an error is, in the one shape that all have."""
    headers = {_ID: invocation_id, _FAULT: error.fault}
    if isinstance(error, errors.Throttled | errors.Unavailable):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.MethodNotAllowed):
        headers["Allow"] = error.data["allow"]
    body = msgspec.json.encode(error.body(invocation_id))
    response = web.Response(status=error.http_status, body=body, headers=headers, content_type="application/json")
    if isinstance(error, errors.TooSlow):
        response.force_close()
    return response
