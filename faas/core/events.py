"""The event shapes that functions see; pure functions over bytes. (How an answer is read: `faas.core.http.replies`.)

HTTP events have the API-gateway payload format 2.0, uploads are S3 notification records, timers are scheduled events,
so that handlers written for AWS Lambda run unchanged. An HTTP event is on the path of every call: what its head decides
(`http_head`) is made once for all requests that begin alike, and the rest (`http_event`) is joined to it.
"""

from __future__ import annotations

import functools
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from faas.core import errors
from faas.core.http import headers as header_names
from faas.core.http.replies import Reply, http_reply

__all__ = [
    "ACCOUNT_ID",
    "HttpHead",
    "Reply",
    "destination_event",
    "form_key",
    "http_event",
    "http_head",
    "http_reply",
    "timer_event",
    "upload_event",
]

ACCOUNT_ID = "000000000000"
"""The account of event shapes and resource names that must hold one; there is no other account."""

MOST_PARAMETERS = 1_000
"""The most parameters in the query of a request."""

_OWN_COOKIES = (header_names.SESSION_COOKIE, f"__Host-{header_names.SESSION_COOKIE}")
"""The session of the platform's own page, which browsers send to every port of its host: it is for no function."""
MOST_COOKIES = 500
"""The most cookies of a request; browsers keep about 180 for a site."""

# Those of `strftime` follow the locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TEXT_TYPES = frozenset(
    {
        "application/json",
        "application/javascript",
        "application/ecmascript",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/graphql",
        "application/x-ndjson",
        "application/yaml",
    }
)

_encode = msgspec.json.Encoder().encode


class HttpHead(msgspec.Struct, frozen=True):
    """What an HTTP event holds before a body has come; the same for all requests with the same head on one connection.

    ``lead`` is the event's JSON up to the id of the invocation. ``has_text`` says that a body is text if it can be.
    """

    lead: str
    has_text: bool


def http_head(
    *,
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Iterable[tuple[str, str]],
    source_ip: str,
    protocol: str,
    route_key: str,
    path_parameters: dict[str, str],
    domain: str,
    stage: str = "$default",
) -> HttpHead:
    """The part of an HTTP event that its head decides.

    ``raw_path`` and ``raw_query`` are as sent, ``headers`` in the order and case they came in, repeated ones included.
    Keys that the format calls optional are absent when there is nothing to put there. Raises `errors.BadRequest` and
    `errors.HeadTooLarge` for more parameters or cookies than a request may have.
    """
    named, cookies = _named_headers(headers)
    prefix = domain.partition(".")[0]
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": raw_path,
        "rawQueryString": raw_query,
        "headers": named,
    }
    # Keys that the format calls optional are looked for with `in` by handlers.
    if cookies:
        event["cookies"] = cookies
    if raw_query and (parameters := _query_parameters(raw_query)):
        event["queryStringParameters"] = parameters
    if path_parameters:
        event["pathParameters"] = path_parameters
    # The last key, and its last keys are added by `http_event`.
    event["requestContext"] = {
        "accountId": ACCOUNT_ID,
        "apiId": prefix,
        "domainName": domain,
        "domainPrefix": prefix,
        "http": {
            "method": method,
            "path": raw_path,
            "protocol": protocol,
            "sourceIp": source_ip,
            "userAgent": named.get("user-agent", ""),
        },
        "routeKey": route_key,
        "stage": stage,
    }
    try:
        lead = _encode(event)
    # A head in other bytes than UTF-8 is rare, and to look for it would cost every other one.
    except UnicodeEncodeError:
        lead = _encode(_without_surrogates(event))
    has_text = named.get("content-encoding", "identity") in ("identity", "") and _is_text(named.get("content-type", ""))
    return HttpHead(f'{lead[: -len(b"}}")].decode()},"requestId":"', has_text)


def http_event(head: HttpHead, body: bytes, *, invocation_id: str, time_ms: int) -> bytes:
    """One HTTP request in the payload format 2.0, as JSON."""
    context = f'{head.lead}{invocation_id}","time":"{_access_log_time(time_ms // 1000)}","timeEpoch":{time_ms}'
    if not body:
        return f'{context}}},"isBase64Encoded":false}}'.encode()
    content = _text_or_bytes(body) if head.has_text else body
    flag = "true" if content is body else "false"
    return f'{context}}},"isBase64Encoded":{flag},"body":'.encode() + _encode(content) + b"}"


def _named_headers(headers: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[str]]:
    named: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in headers:
        key = name.lower()
        if key == "cookie":
            # Counted before they are split: a text for each of thousands would keep the event loop.
            if value.count(";") + len(cookies) >= MOST_COOKIES:
                raise errors.HeadTooLarge(f"the request has over {MOST_COOKIES} cookies", limit=MOST_COOKIES)
            cookies += [
                cookie for part in value.split(";") if (cookie := part.strip()) and not cookie.startswith(_OWN_COOKIES)
            ]
        elif key in named:
            named[key] += "," + value
        else:
            named[key] = value
    return named, cookies


def _query_parameters(raw_query: str) -> dict[str, str]:
    # To split and count is cheap; to make a text of each of thousands is not.
    if raw_query.count("&") >= MOST_PARAMETERS:
        raise errors.BadRequest(f"the query has over {MOST_PARAMETERS} parameters", limit=MOST_PARAMETERS)
    parameters: dict[str, list[str]] = {}
    for key, value in urllib.parse.parse_qsl(raw_query, keep_blank_values=True):
        parameters.setdefault(key, []).append(value)
    return {key: ",".join(values) for key, values in parameters.items()}


def _text_or_bytes(body: bytes) -> str | bytes:
    """The body as text, or unchanged when it is to travel as base64 (which is how bytes are encoded)."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


@functools.lru_cache(maxsize=256)
def _is_text(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    # Without a type it is text if it can be read as that, as curl and scripts send it.
    if not media_type:
        return True
    return media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(("+json", "+xml"))


@functools.lru_cache(maxsize=8)
def _access_log_time(at_s: int) -> str:
    moment = time.gmtime(at_s)
    return time.strftime(f"%d/{_MONTHS[moment.tm_mon - 1]}/%Y:%H:%M:%S +0000", moment)


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


def timer_event(
    *, invocation_id: str, due_ms: int, function: str, trigger: int, region: str, given: bytes | None = None
) -> bytes:
    """A due time as a scheduled event, or ``given``: the trigger's own input, which replaces the event.

    ``trigger`` is the timer's place among the function's triggers; it names the rule in ``resources``.
    """
    if given is not None:
        return given
    return _encode(
        {
            "version": "0",
            "id": invocation_id,
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT_ID,
            "time": _iso_time(due_ms)[:19] + "Z",
            "region": region,
            "resources": [f"arn:aws:events:{region}:{ACCOUNT_ID}:rule/{function}-{trigger}"],
            "detail": {},
        }
    )


def upload_event(
    *,
    invocation_id: str,
    bucket: str,
    key: str,
    size: int,
    etag: str,
    version: str,
    modified_ns: int,
    region: str,
    configuration: str,
) -> bytes:
    """One complete object as an S3 notification with the event name ``ObjectCreated:Put``.

    The key is encoded as in a form: ``+`` for a space, ``%2B`` for a plus sign, slashes as they are. ``sequencer``
    grows from one version of a key to the next; compare it as text. ``configuration`` names the trigger.
    """
    principal = {"principalId": ACCOUNT_ID}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": _iso_time(modified_ns // 1_000_000),
        "eventName": "ObjectCreated:Put",
        "userIdentity": principal,
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": invocation_id, "x-amz-id-2": invocation_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration,
            "bucket": {"name": bucket, "ownerIdentity": principal, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {
                "key": form_key(key),
                "size": size,
                "eTag": etag,
                "versionId": version,
                # In hex digits of one length, which compare as text in the order of their numbers.
                "sequencer": f"{max(modified_ns, 0):018X}",
            },
        },
    }
    return _encode({"Records": [record]})


def destination_event(
    *,
    invocation_id: str,
    function: str,
    revision: int,
    condition: str,
    attempts: int,
    settled_ms: int,
    event: bytes,
    result: bytes,
    error: Mapping[str, Any] | None,
    region: str,
) -> bytes:
    """The record of a settled async invocation as destinations get it, in the shape of Lambda's, version 1.0.

    ``event`` and ``result`` are JSON; ``error`` (type, message, stack) is there when it failed, in place of the result.
    The same invocation always gives the same bytes.
    """
    context: dict[str, Any] = {"statusCode": 200, "executedVersion": str(revision)}
    # As it stands: nobody needs to read it on its way.
    payload: Any = msgspec.Raw(result)
    if error is not None:
        context["functionError"] = "Unhandled"
        payload = {"errorMessage": error["message"], "errorType": error["type"], "stackTrace": error["stack"]}
    return _encode(
        {
            "version": "1.0",
            "timestamp": _iso_time(settled_ms),
            "requestContext": {
                "requestId": invocation_id,
                "functionArn": f"arn:aws:lambda:{region}:{ACCOUNT_ID}:function:{function}:{revision}",
                "condition": condition,
                "approximateInvokeCount": attempts,
            },
            "requestPayload": msgspec.Raw(event),
            "responseContext": context,
            "responsePayload": payload,
        }
    )


def form_key(key: str) -> str:
    """An object's key as upload events carry it; ``urllib.parse.unquote_plus`` gives the key again."""
    return urllib.parse.quote_plus(key, safe="/", errors="surrogateescape")


def _iso_time(at_ms: int) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000))
    return f"{moment}.{at_ms % 1000:03d}Z"
