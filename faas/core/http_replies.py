"""How a function's result becomes an HTTP response; pure functions over bytes, on the path of every call.

===========================================  ==========================================================================
the result                                   the response
===========================================  ==========================================================================
an object with ``statusCode``                what it says: status, headers, cookies, body
any other JSON value                         200, ``application/json``, compact
a text                                       200, ``application/json``, without its quotes
raw bytes                                    200, ``application/octet-stream``
===========================================  ==========================================================================

An object with ``statusCode`` that breaks the rules is the function's fault: `errors.FunctionFailed` with the reason.
So is one with more fields than clients take (`MOST_FIELDS`, `MOST_FIELD_BYTES`): all of this happens on the event loop
that all functions of the node share, so it is bounded in what it costs.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from faas.core import errors

_HINT = 'return {"statusCode": 200, "headers": {...}, "body": "text"}, or any JSON value without "statusCode"'
TEXT = ("content-type", "text/plain; charset=utf-8")
JSON = ("content-type", "application/json")
BYTES = ("content-type", "application/octet-stream")

MOST_FIELDS = 256
"""The most headers and cookies of one response, together."""
MOST_FIELD_BYTES = 65_536
"""The most bytes of all headers of one response, and of all its cookies, as JSON."""
_LARGE_BYTES = MOST_FIELD_BYTES
"""In a result of no more than this there is nothing to bound, or to leave as it is."""
_SHOWN = 200
"""How much of a wrong value is told."""

_NO_BODY = frozenset({204, 205, 304})
_NOT_THE_HANDLERS = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_PLATFORMS = ("faas-", "faas_")
"""How the names of the platform's own header fields begin; some proxies take an underscore for a hyphen."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search

_BLANKS = b" \t\n\r\f\v"
_Scalar = str | int | float | bool | None


class Reply(msgspec.Struct, frozen=True):
    """An HTTP response ready to send. Lengths and connection headers are the server's business, so none are here."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _Probe(msgspec.Struct):
    """Whether a result is a response at all: any object may hold ``headers`` or ``body`` of its own."""

    statusCode: Any = msgspec.UNSET


class _Answer(_Probe):
    """The keys of a response that are read; unknown ones are ignored, as those who know the format expect."""

    headers: dict[str, _Scalar] | None = None
    cookies: list[str] | None = None
    body: str | None = None
    isBase64Encoded: Any = None


class _Parts(msgspec.Struct):
    """The same, as it came: to see how large it is before anything is made of it."""

    statusCode: msgspec.Raw = msgspec.Raw()
    headers: msgspec.Raw = msgspec.Raw()
    cookies: msgspec.Raw = msgspec.Raw()
    isBase64Encoded: msgspec.Raw = msgspec.Raw()


_parts = msgspec.json.Decoder(_Parts).decode
_probe = msgspec.json.Decoder(_Probe).decode
_answer = msgspec.json.Decoder(_Answer).decode
_text = msgspec.json.Decoder(str).decode


def http_reply(body: bytes, is_bytes: bool) -> Reply:
    """The response that a handler's result asks for.

    ``body`` is the result as JSON, or raw bytes when ``is_bytes``. Headers that frame the message (``content-length``,
    ``transfer-encoding`` and the like) and those of the platform (``Faas-*``) are left out whatever the handler says.
    Raises `errors.FunctionFailed` for a malformed response.
    """
    if is_bytes:
        return Reply(200, [BYTES], body)
    try:
        if body.startswith(b"{") or body.lstrip().startswith(b"{"):
            answer = _read(body)
            return (
                _respond(answer)
                if isinstance(answer, _Answer) and answer.statusCode is not msgspec.UNSET
                else _plain(body)
            )
        if body.lstrip().startswith(b'"'):
            return Reply(200, [JSON], _text(body).encode())
        return _plain(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(str(error)[:_SHOWN], "result is not JSON") from error
    except RecursionError as error:
        raise _malformed("it is nested too deeply", "result cannot be read") from error


def without_cookies(body: bytes) -> bytes:
    """A handler's result whose response sets no cookie. One that is no response, or sets none, is as it was."""
    if b"ookie" not in body.lower() or not body.lstrip().startswith(b"{"):
        return body
    try:
        answer: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "statusCode" not in answer:
            return body
        answer.pop("cookies", None)
        headers = bytes(answer.get("headers", b""))
        if headers.startswith(b"{"):
            given: dict[str, msgspec.Raw] = msgspec.json.decode(headers, type=dict[str, msgspec.Raw])
            answer["headers"] = {name: value for name, value in given.items() if name.lower() != "set-cookie"}
        return msgspec.json.encode(answer)
    except (msgspec.DecodeError, RecursionError):
        return body


def _plain(body: bytes) -> Reply:
    if len(body) > _LARGE_BYTES:
        # Whoever took it from the sandbox has seen that it is JSON; to look once more, or to write it anew, takes long.
        return Reply(200, [JSON], body)
    return Reply(200, [JSON], msgspec.json.format(body, indent=-1))


def _read(body: bytes) -> _Probe:
    if len(body) > _LARGE_BYTES and not _is_bounded(body):
        return _Probe()
    try:
        return _answer(body)
    except msgspec.ValidationError as error:
        # Any object may hold keys of these names, and others than a response would.
        probe = _probe(body)
        if probe.statusCode is msgspec.UNSET:
            return probe
        raise _malformed(str(error)[:_SHOWN]) from error


def _is_bounded(body: bytes) -> bool:
    """Whether a large result is a response of which only the body is large; False for one that is no response."""
    try:
        parts = _parts(body)
    except msgspec.ValidationError:
        return False  # the object holds no value as these keys name it, and no response either
    if not parts.statusCode:
        return False
    for name in ("statusCode", "headers", "cookies", "isBase64Encoded"):
        if len(getattr(parts, name)) > MOST_FIELD_BYTES:
            raise _malformed(f"{name} has over {MOST_FIELD_BYTES} bytes")
    return True


def _respond(answer: _Answer) -> Reply:
    status = _status(answer.statusCode)
    if len(answer.headers or ()) + len(answer.cookies or ()) > MOST_FIELDS:
        raise _malformed(f"it has over {MOST_FIELDS} headers and cookies")
    headers, has_type = _headers(answer.headers) if answer.headers else ([], False)
    for cookie in answer.cookies or ():
        headers.append(("set-cookie", _sendable(cookie, "a cookie")))
    if not answer.body or status in _NO_BODY:
        return Reply(status, headers, b"")
    encoded = answer.isBase64Encoded is True
    if not has_type:
        headers.append(BYTES if encoded else TEXT)
    return Reply(status, headers, _decoded(answer.body) if encoded else answer.body.encode())


def _status(value: Any) -> int:
    numeric_text = type(value) is str and len(value) == 3 and value.isascii() and value.isdigit()
    if numeric_text or (type(value) is float and value.is_integer()):
        value = int(value)
    if type(value) is int and 200 <= value <= 599:
        return value
    raise _malformed(f"statusCode is {repr(value)[:_SHOWN]}, expected a number from 200 to 599")


def _headers(given: dict[str, _Scalar]) -> tuple[list[tuple[str, str]], bool]:
    headers = []
    has_type = False
    for name, value in given.items():
        lower = name.lower()
        if value is None or lower in _NOT_THE_HANDLERS or lower.startswith(_PLATFORMS):
            continue
        if _NAME(name) is None:
            raise _malformed(f"header name {name[:_SHOWN]!r} is not one that HTTP allows")
        has_type = has_type or lower == "content-type"
        headers.append((name, _sendable(_header_text(value), f"header {name}")))
    return headers, has_type


def _header_text(value: str | float) -> str:
    if type(value) is str:
        return value
    return str(value).lower() if type(value) is bool else str(value)


def _sendable(value: str, what: str) -> str:
    """Refuses control characters: a line break in a value would let it add headers, or a response, of its own."""
    if _UNSENDABLE(value) is not None:
        raise _malformed(f"{what[:_SHOWN]} holds a control character: {value[:_SHOWN]!r}")
    return value


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body.encode("ascii").translate(None, _BLANKS), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed(f"isBase64Encoded is true, but body is not base64: {error}") from error


def _malformed(reason: str, what: str = "malformed HTTP response") -> errors.FunctionFailed:
    return errors.FunctionFailed(f"{what}: {reason}", hint=_HINT)
