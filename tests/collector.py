"""An OpenTelemetry collector's receiver of OTLP over HTTP, which reads requests by the protocol's own definition."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

_IDS = ("traceId", "spanId", "parentSpanId")


class Collector:
    """What it was sent, and what it answers."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 200
        self.answer = b"{}"
        self.hangs_up = False
        """Whether it ends a connection after an answer without having said so."""
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.requests: list[Any] = []

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> dict[str, trace_pb2.Span]:
        """The spans that were taken, by their ids: one that came again is the same."""
        return {
            span.span_id.hex(): span
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        }


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


@contextlib.contextmanager
def listening() -> Iterator[Collector]:
    """A collector that listens."""
    made = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.paths.append(self.path)
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            if made.status == 200:
                made.requests.append(_read(body))
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(made.answer)))
            self.end_headers()
            self.wfile.write(made.answer)
            self.close_connection = made.hangs_up

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def _read(body: bytes) -> Any:
    """A request. Raises `json_format.ParseError` for a field that the protocol does not have."""
    return json_format.ParseDict(_with_bytes(json.loads(body)), trace_service_pb2.ExportTraceServiceRequest())


def _with_bytes(value: Any) -> Any:
    """OTLP writes ids in hex, where the JSON of protocol buffers has base64 for bytes."""
    if isinstance(value, list):
        return [_with_bytes(each) for each in value]
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(each)).decode() if key in _IDS else _with_bytes(each)
            for key, each in value.items()
        }
    return value
