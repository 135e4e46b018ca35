"""Spans as a sink of records: each batch is sent to an OpenTelemetry collector as OTLP over HTTP, in JSON.

Their ids follow from invocations and attempts (`faas.core.calls.tracing`), so a batch that is sent again names the same
spans. Records of traces that their caller does not sample are left out. While a collector is away records stay in Redis
for it as long as there is room (`port.Sink.may_miss`); no other sink is delayed.
"""

from __future__ import annotations

import http.client
import logging
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata

import msgspec

from faas.core import errors, groups
from faas.core.values import numbers, unreadable
from faas.queue import batches
from faas.recorder import spans

_AT_ONCE = 500
"""Records of one request. With a cold start each is some 2 KB."""

_DROPPED = frozenset({400, 413})
"""What a collector says of spans that it will never take, however often they are sent."""

_MOST_SAID = 65_536
_log = logging.getLogger("faas.recorder")
_encode = msgspec.json.Encoder().encode


class OtlpSink:
    """Sends spans. A `port.Sink` that may miss some."""

    name = "otlp"
    may_miss = True

    def __init__(self, telemetry: groups.Telemetry) -> None:
        """Raises `errors.BadRequest` for headers that are none."""
        url = urllib.parse.urlsplit(telemetry.otlp_endpoint)
        self._url = url
        self._path = f"{url.path.rstrip('/')}/v1/traces"
        self._fields = {"Content-Type": "application/json", "User-Agent": "faas", **fields(telemetry.otlp_headers)}
        self._timeout_s = telemetry.otlp_timeout_ms / 1000
        self._scope = {"name": "faas", "version": metadata.version("faas")}
        self._connection: http.client.HTTPConnection | None = None

    def open(self) -> None:
        """See `port.Sink.open`. It connects when there is something to send."""
        self.close()

    def commit(self, batch: batches.Batch) -> None:
        """See `port.Sink.commit`."""
        for start in range(0, len(batch.records), _AT_ONCE):
            found = spans.of(batch.records[start : start + _AT_ONCE], self._scope)
            if found:
                self._send(_encode({"resourceSpans": found}))

    def close(self) -> None:
        """See `port.Sink.close`."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _send(self, body: bytes) -> None:
        status, said = self._posted(body)
        if status in _DROPPED:
            _log.warning("spans_refused", extra={"status": status, "reason": _text(said)})
        elif status != http.HTTPStatus.OK:
            raise errors.Unavailable(f"the collector at {self._where} answers {status}: {_text(said)}")
        elif (rejected := _rejected(said)) is not None:
            _log.warning(
                "spans_refused", extra={"spans": rejected.rejected_spans, "reason": rejected.error_message[:200]}
            )

    def _posted(self, body: bytes) -> tuple[int, bytes]:
        """The answer's status, and what it says. A connection that was kept may have died meanwhile: then once more."""
        if self._connection is not None:
            try:
                return self._asked(self._connection, body)
            except TimeoutError as error:
                raise self._away(error) from error
            except (OSError, http.client.HTTPException):
                self.close()
        self._connection = self._connected()
        try:
            return self._asked(self._connection, body)
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error

    def _asked(self, connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
        connection.request("POST", self._path, body, self._fields)
        answer = connection.getresponse()
        said = answer.read(_MOST_SAID)
        if answer.length:  # more than anybody wants to know
            self.close()
        return answer.status, said

    def _away(self, error: Exception) -> errors.Unavailable:
        self.close()
        return errors.Unavailable(
            f"the collector at {self._where} does not answer: {str(error) or type(error).__name__}"
        )

    def _connected(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(
                host, port, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    @property
    def _where(self) -> str:
        return f"{self._url.hostname}:{self._url.port or self._url.scheme}"


class _Rejected(msgspec.Struct, rename="camel"):
    rejected_spans: int | str = 0
    error_message: str = ""


class _Answer(msgspec.Struct, rename="camel"):
    partial_success: _Rejected | None = None


def _rejected(said: bytes) -> _Rejected | None:
    """What of a request the collector did not take, by what it said; it may have said something in another form."""
    try:
        found = msgspec.json.decode(said, type=_Answer).partial_success
    except unreadable.ERRORS:
        return None
    # Whole numbers of 64 bits are texts in protobuf's JSON; other texts say nothing.
    return found if found is not None and numbers.whole(str(found.rejected_spans)) else None


def _text(said: bytes) -> str:
    return said[:200].decode(errors="replace").partition("\n")[0]


def fields(written: str) -> Mapping[str, str]:
    """Header fields as the setting has them: ``name=value,name=value``. Raises `errors.BadRequest`."""
    parts = [part.strip() for part in written.split(",") if part.strip()]
    found = {name.strip(): urllib.parse.unquote(value.strip()) for name, _, value in _pairs(parts)}
    if any(not name or not (name + value).isprintable() for name, value in found.items()):
        raise errors.BadRequest("otlp_headers: expected name=value, with commas between several")
    return found


def _pairs(parts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return (part.partition("=") for part in parts)
