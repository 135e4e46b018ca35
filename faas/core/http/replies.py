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
So is one with more fields than clients take (`MOST_FIELDS`, `MOST_FIELD_BYTES`): most of this happens on the event loop
that all functions of the node share, so it is bounded in what it costs; what `takes_long` is for a thread. What can be
sent all the same is sent, and what was made of it or left out is told in `Reply.remarks`, which are for the function's
log.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from faas.core import errors
from faas.core.values import json_text, json_words, large_json, unreadable

_HINT = 'return {"statusCode": 200, "headers": {...}, "body": "text"}, or any JSON value without "statusCode"'
TEXT = ("content-type", "text/plain; charset=utf-8")
JSON = ("content-type", "application/json")
BYTES = ("content-type", "application/octet-stream")

TRIGGER = "http"
"""The trigger of calls whose results become responses."""

MOST_FIELDS = 256
"""The most headers and cookies of one response, together."""
MOST_FIELD_BYTES = 65_536
"""The most bytes of all headers of one response, and of all its cookies, as JSON."""
_LARGE_BYTES = large_json.LARGE_BYTES
"""In a result of no more than this there is nothing to bound, or to leave as it is."""
_SHOWN = 200
"""How much of a wrong value is told."""

_NO_JSON = "result is not JSON"
_LENGTH = "content-length"
_MOST_DIGITS = 18
_NO_BODY = frozenset({204, 205, 304})
_NOT_THE_HANDLERS = frozenset(
    {
        "connection",
        _LENGTH,
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
_USUAL = frozenset({"content-type", "Content-Type", "cache-control", "Cache-Control", "location", "Location"})
"""Names that need no look."""
_PLATFORMS = ("faas-", "faas_")
"""How the names of the platform's own header fields begin; some proxies take an underscore for a hyphen."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search

_BLANKS = b" \t\n\r\f\v"
_BEGIN = 64
"""Whoever puts more blanks than this before a large result has it looked through, too."""
_Scalar = str | int | float | bool | None


class Reply(msgspec.Struct, frozen=True):
    """An HTTP response ready to send. Lengths and connection headers are the server's business, so none are here.

    ``remarks`` say what of the result was taken for something else, or left out. ``head_bytes`` is how long the body is
    by what a result without one says: web frameworks answer HEAD so.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    remarks: tuple[str, ...] = ()
    head_bytes: int | None = None


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    """A response that says nothing that has to be remarked on, as nearly all are."""

    statusCode: int
    headers: dict[str, _Scalar] | None = None
    multiValueHeaders: dict[str, list[_Scalar]] | None = None
    cookies: list[str] | None = None
    body: str | None = None
    isBase64Encoded: bool | None = None


class _Parts(msgspec.Struct):
    """The parts of a result as they came: to see what it is and how large, before anything is made of it."""

    statusCode: msgspec.Raw = msgspec.Raw()
    headers: msgspec.Raw = msgspec.Raw()
    multiValueHeaders: msgspec.Raw = msgspec.Raw()
    cookies: msgspec.Raw = msgspec.Raw()
    body: msgspec.Raw = msgspec.Raw()
    isBase64Encoded: msgspec.Raw = msgspec.Raw()


class _Glance(_Answer, forbid_unknown_fields=True):
    """The same with a body that is only looked at."""

    body: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


_SMALL_PARTS = tuple(name for name in _Parts.__struct_fields__ if name != "body")
_STATUS = b'"statusCode"'

_parts = msgspec.json.Decoder(_Parts).decode
_answer = msgspec.json.Decoder(_Answer).decode
_glance = msgspec.json.Decoder(_Glance).decode
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_any = msgspec.json.Decoder().decode
_text = msgspec.json.Decoder(str).decode


def takes_long(body: bytes, is_bytes: bool) -> bool:
    """Whether a result is large, and has to be looked through to know whether it is a response, or what text it is."""
    return not is_bytes and len(body) > _LARGE_BYTES and body[:_BEGIN].lstrip()[:1] in (b"{", b'"', b"")


def http_reply(body: bytes, is_bytes: bool) -> Reply:
    """The response that a handler's result asks for.

    ``body`` is the result as JSON, or raw bytes when ``is_bytes``. Headers that frame the message (``content-length``,
    ``transfer-encoding`` and the like) and those of the platform (``Faas-*``) are left out whatever the handler says.
    Raises `errors.FunctionFailed` for a malformed response.
    """
    if is_bytes:
        return Reply(200, [BYTES], body)
    try:
        if (body.startswith(b"{") or body.lstrip().startswith(b"{")) and _STATUS in body:
            reply = _response(body)
            return _plain(body) if reply is None else reply
        if body.lstrip().startswith(b'"'):
            return Reply(200, [JSON], _text(body).encode())
        return _plain(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(
            json_text.PYTHONS if json_text.is_pythons(body) else json_words.why(error), _NO_JSON
        ) from error
    except large_json.Malformed as error:
        raise _malformed("it is nested too deeply, or no JSON", "result cannot be read") from error
    except RecursionError as error:
        raise _malformed("it is nested too deeply", "result cannot be read") from error


def all_remarks(body: bytes) -> tuple[str, ...]:
    """`remarks`, also of a result that is no JSON but to Python, or a large one: those are looked at once more."""
    return (f"{_NO_JSON}: {json_text.PYTHONS}",) if large_json.is_pythons(body) else remarks(body)


def remarks(body: bytes) -> tuple[str, ...]:
    """What is to be said in a function's log of a result that is sent as an HTTP response, or cannot be."""
    if _STATUS not in body:
        return _of_value(body)
    if _is_plainly_right(body):
        return ()
    try:
        return http_reply(body, is_bytes=False).remarks
    except errors.FunctionFailed as error:
        return (error.message,)


def _of_value(body: bytes) -> tuple[str, ...]:
    # One look, as this is on the path of every call.
    if b"tatus" not in body or len(body) > _LARGE_BYTES or not body.startswith(b"{"):
        return ()
    try:
        meant = next((key for key in _keys(body) if key.replace("_", "").replace("-", "").lower() == "statuscode"), "")
    except unreadable.ERRORS:
        return ()
    return (f"it has {meant} and no statusCode, so all of it is the body, with status 200",) if meant else ()


def _is_plainly_right(body: bytes) -> bool:
    """Whether one look tells that there is nothing to remark on: this is on the path of every call."""
    if len(body) > _LARGE_BYTES:
        return False
    try:
        seen = _glance(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    # Whatever is seldom has the long look.
    if seen.cookies or seen.multiValueHeaders or seen.isBase64Encoded or not 200 <= seen.statusCode <= 599:
        return False
    for name, value in (seen.headers or {}).items():
        if not (name in _USUAL or _NAME(name)) or not (type(value) is str and value.isprintable()):
            return False
    return memoryview(seen.body)[:1].tobytes() in (b'"', b"n", b"")


def without_cookies(body: bytes) -> bytes:
    """A handler's result whose response sets no cookie. One that is no response, or sets none, is as it was."""
    may_name_one = b"ookie" in body.lower() or b"\\u" in body  # a key may be written in escapes
    if not may_name_one or not body.lstrip().startswith(b"{"):
        return body
    try:
        answer: dict[str, Any] = _large_by_name(body) if len(body) > _LARGE_BYTES else _keys(body)
        if "statusCode" not in answer:
            return body
        answer.pop("cookies", None)
        for part in ("headers", "multiValueHeaders"):
            headers = bytes(answer.get(part, b""))
            if headers.startswith(b"{"):
                given: dict[str, msgspec.Raw] = msgspec.json.decode(headers, type=dict[str, msgspec.Raw])
                answer[part] = {name: value for name, value in given.items() if name.lower() != "set-cookie"}
        return msgspec.json.encode(answer)
    except (errors.FunctionFailed, *unreadable.ERRORS):
        return body  # what is wrong with it is told to whoever asks again, too


def _large_by_name(body: bytes) -> dict[str, msgspec.Raw]:
    parts = _large_parts(body)
    return {name: part for name in _Parts.__struct_fields__ if (part := getattr(parts, name))}


def _plain(body: bytes) -> Reply:
    if len(body) > _LARGE_BYTES:
        # Whoever took it from the sandbox has seen that it is JSON; to look once more, or to write it anew, takes long.
        return Reply(200, [JSON], body)
    return Reply(200, [JSON], msgspec.json.format(body, indent=-1))


def _response(body: bytes) -> Reply | None:
    """The response that an object is; None for one without ``statusCode``, whose keys are its own."""
    if len(body) <= _LARGE_BYTES:
        try:
            return _respond(_answer(body))
        except msgspec.ValidationError:
            pass  # it is read part by part below
        parts, said = _parts(body), _unknown(body)
    else:
        parts, said = _large_parts(body), []
    if not parts.statusCode:
        return None
    reply = _respond(_made_of(parts, said))
    return msgspec.structs.replace(reply, remarks=tuple(said))


def _large_parts(body: bytes) -> _Parts:
    """The parts of a large result, of which only the body may be large; none of one that is no response."""
    sizes = large_json.sizes(body, _SMALL_PARTS)
    if "statusCode" not in sizes:
        return _Parts()
    for name in _SMALL_PARTS:
        # Before they are made into anything: a million cookies are refused as one text.
        if sizes.get(name, 0) > MOST_FIELD_BYTES:
            raise _malformed(f"{name} has over {MOST_FIELD_BYTES} bytes")
    small, large = large_json.cut_out(body, _SMALL_PARTS, "body")
    return _Parts(**dict(zip(_SMALL_PARTS, _raws(small), strict=True)), body=msgspec.Raw(large))


def _unknown(body: bytes) -> list[str]:
    unknown = sorted(set(_keys(body)) - set(_Parts.__struct_fields__))
    shown = ", ".join(name[:40] for name in unknown[:8]) + (", …" if len(unknown) > 8 else "")
    return [f"left out, as it is no part of a response: {shown}"] if unknown else []


def _made_of(parts: _Parts, said: list[str]) -> _Answer:
    """The response that is meant by parts of other types; what is made of them is added to ``said``."""
    status, given = _status(_any(parts.statusCode)), bytes(parts.statusCode)
    if not given.isdigit():
        said.append(f"statusCode is {given[:20].decode(errors='replace')}, taken as {status}")
    flag = _any(parts.isBase64Encoded) if parts.isBase64Encoded else None
    if type(flag) is not bool and flag is not None:
        said.append("isBase64Encoded is neither true nor false, so the body is sent as it stands")
    return _Answer(
        statusCode=status,
        headers=_fields_of(parts.headers),
        multiValueHeaders=_many_of(parts.multiValueHeaders, said),
        cookies=_cookies_of(parts.cookies, said),
        body=_body_of(parts.body, said),
        isBase64Encoded=flag is True,
    )


def _fields_of(given: msgspec.Raw) -> dict[str, _Scalar] | None:
    found = _any(given) if given else None
    if found is not None and not isinstance(found, dict):
        raise _malformed("headers is no object of names and values")
    for name, value in (found or {}).items():
        if isinstance(value, dict | list):
            raise _malformed(f"headers has no text for {name[:_SHOWN]!r}; several values stand in multiValueHeaders")
    return found


def _many_of(given: msgspec.Raw, said: list[str]) -> dict[str, list[_Scalar]] | None:
    found = _any(given) if given else None
    if found is not None and not isinstance(found, dict):
        raise _malformed("multiValueHeaders is no object of names and lists")
    many: dict[str, list[_Scalar]] = {}
    for name, values in (found or {}).items():
        if not isinstance(values, list):
            said.append(f"multiValueHeaders has no list for {name[:40]!r}, taken as a list of one")
        many[name] = values if isinstance(values, list) else [values]
        if any(isinstance(value, dict | list) for value in many[name]):
            raise _malformed(f"multiValueHeaders has no texts for {name[:_SHOWN]!r}")
    return many


def _cookies_of(given: msgspec.Raw, said: list[str]) -> list[str] | None:
    found = _any(given) if given else None
    if isinstance(found, str):
        said.append("cookies is a text, taken as a list of one")
        found = [found]
    if found is not None and not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        raise _malformed("cookies is no list of texts")
    return found


def _body_of(given: msgspec.Raw, said: list[str]) -> str | None:
    """A body that is no text is sent as the JSON that it is."""
    raw = bytes(given)
    if raw[:1] == b'"':
        return _text(raw)
    if raw in (b"", b"null"):
        return None
    said.append("body is no text, so it is sent as JSON")
    return (raw if len(raw) > _LARGE_BYTES else msgspec.json.format(raw, indent=-1)).decode()


def _respond(answer: _Answer) -> Reply:
    status = _status(answer.statusCode)
    many = answer.multiValueHeaders
    count = len(answer.headers or ()) + len(answer.cookies or ()) + (sum(map(len, many.values())) if many else 0)
    if count > MOST_FIELDS:
        raise _malformed(f"it has over {MOST_FIELDS} headers and cookies")
    given = _merged(answer.headers, many) if many else (answer.headers or {}).items()
    headers, has_type = _headers(given) if given else ([], False)
    for cookie in answer.cookies or ():
        headers.append(("set-cookie", _sendable(cookie, "a cookie")))
    # A client would take a body for the beginning of its next answer.
    if not answer.body or status in _NO_BODY:
        return Reply(status, headers, b"", head_bytes=_told_bytes(given) if given else None)
    encoded = answer.isBase64Encoded is True
    if not has_type:
        headers.append(BYTES if encoded else TEXT)
    return Reply(status, headers, _decoded(answer.body) if encoded else answer.body.encode())


def _told_bytes(given: Iterable[tuple[str, _Scalar]]) -> int | None:
    told = next((str(value) for name, value in given if name.lower() == _LENGTH), "")
    return int(told) if told.isascii() and told.isdigit() and len(told) <= _MOST_DIGITS else None


def _merged(single: dict[str, _Scalar] | None, many: dict[str, list[_Scalar]]) -> list[tuple[str, _Scalar]]:
    """The fields of both; of a name that is in both, what `multiValueHeaders` says, as API Gateway has it."""
    several = {name.lower() for name in many}
    fields = [(name, value) for name, value in (single or {}).items() if name.lower() not in several]
    return fields + [(name, value) for name, values in many.items() for value in values]


def _status(value: Any) -> int:
    # A text and 200.0 mean a number all the same; a bool is an int to Python, and no status.
    numeric_text = type(value) is str and len(value) == 3 and value.isascii() and value.isdigit()
    if numeric_text or (type(value) is float and value.is_integer()):
        value = int(value)
    if type(value) is int and 200 <= value <= 599:
        return value
    raise _malformed(f"statusCode is {repr(value)[:_SHOWN]}, expected a number from 200 to 599")


def _headers(given: Iterable[tuple[str, _Scalar]]) -> tuple[list[tuple[str, str]], bool]:
    headers = []
    has_type = False
    for name, value in given:
        lower = name.lower()
        # JSON's null is how handlers leave a header out.
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
        text = body.encode("ascii").translate(None, _BLANKS)
        # Each part is decoded by itself, so that padding within the text would go unseen.
        if -1 < text.find(b"=") < len(text) - 2:
            raise ValueError("it goes on behind its end")
        # In parts: a thread that does it lets others go on between them.
        parts = (text[at : at + _LARGE_BYTES] for at in range(0, len(text), _LARGE_BYTES))
        return b"".join(base64.b64decode(part, validate=True) for part in parts)
    except (binascii.Error, ValueError) as error:
        raise _malformed("isBase64Encoded is true, but body is not base64") from error


def _malformed(reason: str, what: str = "malformed HTTP response") -> errors.FunctionFailed:
    return errors.FunctionFailed(f"{what}: {reason}", hint=_HINT)
