"""Answers: what an outcome or an error is in HTTP, and the bytes that are sent of it."""

from __future__ import annotations

import email.utils
import functools
import http

import msgspec

from faas.core import clock, errors, model
from faas.core.calls import calling, faults
from faas.core.http import headers, replies
from faas.core.values import large_json

_OK = model.Status.OK
_ID = headers.INVOCATION_ID
_ID_KEY = _ID.lower()
_DATE = "date"
_ENDS, _KEEPS = "Connection: close\r\n", "Connection: keep-alive\r\n"
_LINES = {field: f"{field[0]}: {field[1]}\r\n" for field in (replies.JSON, replies.TEXT, replies.BYTES)}
_WITHOUT_LENGTH = frozenset({204, 304})

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The word that a client may wait for before it sends its body; an answer follows it in any case."""

NOTHING = replies.Reply(204, [], b"")
"""The answer to who asks about the gateway as a whole."""

_CROSSING_KEYS = frozenset(f"access-control-{what}" for what in ("allow-origin", "allow-credentials", "expose-headers"))


def of_outcome(outcome: model.Outcome) -> replies.Reply:
    """The answer that the outcome of a call is."""
    record = outcome.record
    if record.status is not _OK:
        return of_error(_failure(record), record.invocation_id)
    try:
        return replies.http_reply(outcome.body, outcome.is_bytes)
    except errors.FunctionFailed as error:
        return of_error(error, record.invocation_id)


def takes_long(outcome: model.Outcome) -> bool:
    """Whether `of_outcome` would keep the event loop: then it is for `of_any_outcome`."""
    return outcome.record.status is _OK and replies.takes_long(outcome.body, outcome.is_bytes)


async def of_any_outcome(outcome: model.Outcome) -> replies.Reply:
    """`of_outcome`, done in a thread where it takes long."""
    return await large_json.apart(of_outcome, outcome) if takes_long(outcome) else of_outcome(outcome)


def of_error(error: errors.FaasError, invocation_id: str) -> replies.Reply:
    """The answer that an error is, in the one shape that all have."""
    fields = [replies.JSON, (headers.ERROR, error.fault.in_header)]
    if isinstance(error, errors.Throttled | errors.Unavailable):
        fields.append(("Retry-After", str(error.retry_after_s)))
    if isinstance(error, errors.MethodNotAllowed):
        fields.append(("Allow", error.data["allow"]))
    return replies.Reply(error.http_status, fields, msgspec.json.encode(error.body(invocation_id)))


def accepted(invocation_id: str) -> replies.Reply:
    """The answer to an async call that will run."""
    told = {"invocation_id": invocation_id, "status_url": calling.status_url(invocation_id)}
    return replies.Reply(202, [replies.JSON], msgspec.json.encode(told))


def health(*, is_well: bool) -> replies.Reply:
    """The answer to who asks how the gateway is."""
    return replies.Reply(200 if is_well else 503, [replies.JSON], msgspec.json.encode({"ready": is_well}))


def encoded(
    reply: replies.Reply,
    invocation_id: str,
    *,
    ends: bool = False,
    keeps: bool = False,
    to_head: bool = False,
    crossing: str = "",
) -> bytes:
    """An answer as it is sent. ``ends`` says that the connection ends with it, ``keeps`` to a client of HTTP/1.0 that
    it does not; to a HEAD request there is no body. ``crossing`` are lines that stand in place of the reply's own about
    other origins, as browsers take no field of them twice."""
    body, fields, has_date = reply.body, "", False
    for field in reply.headers:
        line = _LINES.get(field)
        if line is None:
            key = field[0].lower()
            has_date = has_date or key == _DATE
            is_ours = key == _ID_KEY or (crossing and key in _CROSSING_KEYS)
            line = "" if is_ours else f"{field[0]}: {field[1]}\r\n"
        fields += line
    if reply.status not in _WITHOUT_LENGTH:
        told = reply.head_bytes if to_head else None
        fields += f"Content-Length: {len(body) if told is None else told}\r\n"
    if invocation_id:
        fields += f"{_ID}: {invocation_id}\r\n"
    fields += crossing
    if ends or keeps:
        fields += _ENDS if ends else _KEEPS
    begin = _begin(reply.status, 0 if has_date else clock.now_ms() // 1_000)
    head = f"{begin}{fields}\r\n".encode()
    return head if to_head else head + body


@functools.lru_cache(maxsize=64)
def _begin(status: int, at_s: int) -> str:
    """The first lines of an answer; the date that the function gave stands in place of ours (``at_s`` is 0 then)."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    line = f"HTTP/1.1 {status} {phrase}\r\n"
    return f"{line}Date: {email.utils.formatdate(at_s, usegmt=True)}\r\n" if at_s else line


def _failure(record: model.Record) -> errors.FaasError:
    kind = record.error.type if record.error else str(record.status)
    is_its_own = faults.of(record.status) is errors.Fault.FUNCTION
    hint = f"faas logs {record.function}" if is_its_own else "see `faas doctor`"
    why = record.error.message if record.error and not is_its_own else ""  # a function's own words are for its log
    return faults.error(record.status, record.function, why, hint=hint, type=kind)
