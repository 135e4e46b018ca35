"""An HTTP event made in the plain way, all at once: what the one that is joined from parts must be equal to."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Iterable
from typing import Any

import msgspec

_TEXT_TYPES = {
    "application/json",
    "application/javascript",
    "application/ecmascript",
    "application/xml",
    "application/x-www-form-urlencoded",
    "application/graphql",
    "application/x-ndjson",
    "application/yaml",
}


def http(
    *,
    raw_path: str,
    raw_query: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    route_key: str,
    path_parameters: dict[str, str],
    **about: Any,
) -> bytes:
    """One HTTP request in the payload format 2.0, as JSON; ``about`` is what `_context` takes besides.

    ``raw_path`` and ``raw_query`` are as sent, ``headers`` in the order and case they came in, repeated ones included.
    Keys that the format calls optional are absent when there is nothing to put there.
    """
    named, cookies = _named_headers(headers)
    agent = named.get("user-agent", "")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": raw_path,
        "rawQueryString": raw_query,
        "headers": named,
        "requestContext": _context(path=raw_path, route_key=route_key, user_agent=agent, **about),
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if raw_query and (parameters := _query_parameters(raw_query)):
        event["queryStringParameters"] = parameters
    if path_parameters:
        event["pathParameters"] = path_parameters
    if body:
        event["body"] = content = _text_or_bytes(body, named)
        event["isBase64Encoded"] = content is body
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(event))


def _context(
    *,
    method: str,
    path: str,
    protocol: str,
    source_ip: str,
    user_agent: str,
    domain: str,
    route_key: str,
    invocation_id: str,
    time_ms: int,
    stage: str = "$default",
) -> dict[str, Any]:
    prefix = domain.partition(".")[0]
    return {
        "accountId": "000000000000",
        "apiId": prefix,
        "domainName": domain,
        "domainPrefix": prefix,
        "http": {
            "method": method,
            "path": path,
            "protocol": protocol,
            "sourceIp": source_ip,
            "userAgent": user_agent,
        },
        "requestId": invocation_id,
        "routeKey": route_key,
        "stage": stage,
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(time_ms // 1000)),
        "timeEpoch": time_ms,
    }


def _named_headers(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    named: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in headers:
        key = name.lower()
        if key == "cookie":
            cookies += [cookie for part in value.split(";") if (cookie := part.strip())]
        elif key in named:
            named[key] += "," + value
        else:
            named[key] = value
    return named, cookies


def _query_parameters(raw_query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for key, value in urllib.parse.parse_qsl(raw_query, keep_blank_values=True):
        parameters[key] = f"{parameters[key]},{value}" if key in parameters else value
    return parameters


def _text_or_bytes(body: bytes, headers: dict[str, str]) -> str | bytes:
    """The body as text, or unchanged when it is to travel as base64 (which is how bytes are encoded)."""
    packed = headers.get("content-encoding", "identity") not in ("identity", "")
    if packed or not _is_text(headers.get("content-type", "")):
        return body
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _is_text(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type:
        return True
    return media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(("+json", "+xml"))


def _without_surrogates(value: Any) -> Any:
    """Bytes that were no UTF-8 reach us as lone surrogates; they are shown as the Latin-1 that HTTP once was."""
    if isinstance(value, str):
        return _as_latin1(value)
    if isinstance(value, dict):
        return {_as_latin1(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_latin1(item) for item in value]
    return value


def _as_latin1(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text
