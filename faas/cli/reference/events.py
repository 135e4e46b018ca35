"""The events that handlers see, made by the code that makes them."""

from __future__ import annotations

import msgspec

from faas.cli.reference import markdown
from faas.core import events, model

_ID = "019a3f1c-7d2e-7c40-8a5b-3f0e9d1c2b4a"
_AT_MS = 1_777_885_964_310
_INTRO = "Events have the shapes that handlers written for AWS Lambda know."
_HTTP = (
    "## HTTP",
    "The API-gateway payload format 2.0. Keys that have nothing to hold are absent (`cookies`, "
    "`queryStringParameters`, `pathParameters`, `body`); a body that is no text arrives as base64, with "
    "`isBase64Encoded` true.",
)
_UPLOAD = (
    "## Upload",
    "An S3 notification with one record. The key is encoded as in a form: `urllib.parse.unquote_plus` gives it again. "
    "`sequencer` grows from one version of a key to the next; compare it as text.",
)
_TIMER = (
    "## Timer",
    "A scheduled event. `time` is when it was due, also when it runs late. A trigger's own `input` stands in "
    "its place.",
)
_DESTINATION = (
    "## Destination",
    "The record of a settled async invocation, as `on_success` and `on_failure` get it: Lambda's invocation record, "
    "version 1.0. After a failure `responseContext.functionError` is there and `responsePayload` is the error. "
    "`condition` is `Success`, `RetriesExhausted`, `EventAgeExceeded` or `ChainTooDeep`.",
)
_INVOKE = (
    "## `faas invoke`",
    "The event is what the caller sent, any JSON; `{}` when nothing was sent.",
)


def page() -> str:
    """The whole page."""
    parts = [_INTRO, *_HTTP, _shown(_http()), *_UPLOAD, _shown(_upload()), *_TIMER, _shown(_timer())]
    parts += [*_DESTINATION, _shown(_destination()), *_INVOKE]
    return markdown.page("Events", parts)


def _shown(event: bytes) -> str:
    return f"```json\n{msgspec.json.format(event, indent=2).decode()}\n```"


def _http() -> bytes:
    head = events.http_head(
        method="POST",
        raw_path="/thumb/my%20cat",
        raw_query="size=320&crop=",
        headers=[
            ("Host", "127.0.0.1:8080"),
            ("Content-Type", "application/json"),
            ("Cookie", "seen=1"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Port", "8080"),
            ("X-Forwarded-For", "127.0.0.1"),
        ],
        source_ip="127.0.0.1",
        protocol="HTTP/1.1",
        route_key="POST /thumb/{name}",
        path_parameters={"name": "my cat"},
        domain="127.0.0.1",
    )
    return events.http_event(head, b'{"quality": 80}', invocation_id=_ID, time_ms=_AT_MS)


def _upload() -> bytes:
    return events.upload_event(
        invocation_id=_ID,
        bucket="photos",
        key="in/my cat.jpg",
        size=182_311,
        etag="0123456789abcdef0123456789abcdef",
        version="1",
        modified_ns=_AT_MS * 1_000_000,
        region="local",
        configuration="transcode-0",
    )


def _timer() -> bytes:
    return events.timer_event(
        invocation_id=_ID, due_ms=_AT_MS // 1000 * 1000, function="digest", trigger=0, region="local"
    )


def _destination() -> bytes:
    return events.destination_event(
        invocation_id=_ID,
        function="ship",
        revision=3,
        condition=model.Condition.RETRIES_EXHAUSTED,
        attempts=3,
        settled_ms=_AT_MS,
        event=b'{"order": -1}',
        result=b"null",
        error={"type": "ValueError", "message": "there is no such order", "stack": ["  File ..."]},
        region="local",
    )
