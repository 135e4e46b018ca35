"""Answers: what an outcome or an error is in HTTP, and the bytes that are sent of it."""

from __future__ import annotations

import email.utils
import functools
import http
import time

import msgspec

from faas.core import errors, http_replies, model

ID = "Faas-Invocation-Id"
_FAULT = "Faas-Error"
_ID_KEY = ID.lower()
_JSON = ("content-type", "application/json")
_ENDS, _KEEPS = "Connection: close\r\n", "Connection: keep-alive\r\n"
_WITHOUT_LENGTH = frozenset({204, 304})

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The word that a client may wait for before it sends its body; an answer follows it in any case."""


def of_outcome(outcome: model.Outcome) -> http_replies.Reply:
    """The answer that the outcome of a call is."""
    record = outcome.record
    if record.status is not model.Status.OK:
        return of_error(_failure(record), record.invocation_id)
    try:
        return http_replies.http_reply(outcome.body, outcome.is_bytes)
    except errors.FunctionFailed as error:
        return of_error(error, record.invocation_id)


def of_error(error: errors.FaasError, invocation_id: str) -> http_replies.Reply:
    """The answer that an error is, in the one shape that all have."""
    headers = [_JSON, (_FAULT, error.fault)]
    if isinstance(error, errors.Throttled | errors.Unavailable):
        headers.append(("Retry-After", str(error.retry_after_s)))
    if isinstance(error, errors.MethodNotAllowed):
        headers.append(("Allow", error.data["allow"]))
    return http_replies.Reply(error.http_status, headers, msgspec.json.encode(error.body(invocation_id)))


def accepted(invocation_id: str) -> http_replies.Reply:
    """The answer to an async call that will run."""
    told = {"invocation_id": invocation_id, "status_url": f"/api/v1/invocations/{invocation_id}"}
    return http_replies.Reply(202, [_JSON], msgspec.json.encode(told))


def health(*, is_well: bool) -> http_replies.Reply:
    """The answer to who asks how the gateway is."""
    return http_replies.Reply(200 if is_well else 503, [_JSON], msgspec.json.encode({"ready": is_well}))


def encoded(
    reply: http_replies.Reply, invocation_id: str, *, ends: bool = False, keeps: bool = False, to_head: bool = False
) -> bytes:
    """An answer as it is sent. ``ends`` says that the connection ends with it, ``keeps`` to a client of HTTP/1.0 that
    it does not; to a HEAD request there is no body."""
    status, body = reply.status, reply.body
    head, date = _status_line(status), _date(int(time.time()))
    for name, value in reply.headers:
        key = name.lower()
        if key == "date":
            date = ""
        if key != _ID_KEY:
            head += f"{name}: {value}\r\n"
    if status not in _WITHOUT_LENGTH:
        head += f"Content-Length: {len(body)}\r\n"
    if invocation_id:
        head += f"{ID}: {invocation_id}\r\n"
    if ends or keeps:
        head += _ENDS if ends else _KEEPS
    sent = f"{head}{date}\r\n".encode()
    return sent if to_head else sent + body


@functools.lru_cache(maxsize=1024)
def _status_line(status: int) -> str:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n"


@functools.lru_cache(maxsize=2)
def _date(at_s: int) -> str:
    return f"Date: {email.utils.formatdate(at_s, usegmt=True)}\r\n"


def _failure(record: model.Record) -> errors.FaasError:
    kind = record.error.type if record.error else str(record.status)
    if record.status is model.Status.TIMEOUT:
        timed_out = errors.TimedOut(f"{record.function} ran into its timeout", type=kind)
        timed_out.fault = "function"
        return timed_out
    if record.status in (model.Status.LOST, model.Status.REJECTED):
        return errors.Unavailable(f"the platform lost this attempt of {record.function}", type=kind)
    return errors.FunctionFailed(f"{record.function} failed", hint=f"faas logs {record.function}", type=kind)
