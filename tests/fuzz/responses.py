"""Answers of an HTTP server, read strictly: what cannot be read so is a fault of the platform."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tests.fuzz import edge

_LINE = re.compile(rb"HTTP/(?:1\.[01]|0\.9) (\d{3}) [^\r\n\x00]*\r\n")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*\r\n")
_NO_BODY = (204, 304)
_EXPECTED = frozenset({501, 502, 503, 504, 508})
"""What may be answered of errors that are not the caller's; a 500 never."""


class Response(msgspec.Struct, frozen=True):
    """One answer; its fields by their names in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes
    is_whole: bool = True


def parsed(said: bytes) -> list[Response]:
    """All answers of a connection but ``100 Continue``. The last may be cut off, where the server hung up."""
    found: list[Response] = []
    left = said
    while left:
        response, left = _one(left)
        if response.status != 100:
            found.append(response)
    return found


def check_shape(response: Response) -> None:
    """Raise `edge.Broken` for an answer that the platform never gives."""
    told = response.body[:300]
    edge.check(response.status < 500 or response.status in _EXPECTED, f"status {response.status}: {told!r}")
    if response.status < 400 or not response.is_whole or not response.body:
        return
    edge.check(
        response.fields.get("content-type", "").startswith("application/json"), f"an error that is no JSON: {told!r}"
    )
    error: Any = msgspec.json.decode(response.body)["error"]
    edge.check({"code", "message"} <= set(error), f"an error of another shape: {told!r}")
    edge.check("Traceback" not in error["message"], f"a stack: {told!r}")


def _one(said: bytes) -> tuple[Response, bytes]:
    line = _LINE.match(said)
    edge.check(line, f"no status line: {said[:100]!r}")
    assert line is not None
    fields, at = {}, line.end()
    while not said.startswith(b"\r\n", at):
        field = _FIELD.match(said, at)
        edge.check(field, f"no header field: {said[at : at + 100]!r}")
        assert field is not None
        fields[field[1].decode().lower()] = field[2].decode("utf-8", "replace")
        at = field.end()
    status = int(line[1])
    return _with_body(status, fields, said[at + 2 :])


def _with_body(status: int, fields: dict[str, str], left: bytes) -> tuple[Response, bytes]:
    if status < 200 or status in _NO_BODY or left.startswith(b"HTTP/1."):  # the last is what follows an answer to HEAD
        return Response(status, fields, b""), left
    if fields.get("transfer-encoding") == "chunked":
        return Response(status, fields, b"", is_whole=False), b""
    size = int(fields.get("content-length", len(left)))
    body = left[:size]
    return Response(status, fields, body, len(body) == size or not body), left[size:]
