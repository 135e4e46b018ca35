"""HTTP requests as the events that the gateway makes of them."""

from __future__ import annotations

from faas.core import events

ID = "0190b5a0-0000-7000-8000-000000000001"


def http(method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> bytes:
    """A request as the gateway would send it on."""
    named = {"host": "api.example", "user-agent": "tester/1", **{k.replace("_", "-"): v for k, v in headers.items()}}
    head = events.http_head(
        method=method,
        raw_path=path,
        raw_query=query,
        headers=list(named.items()),
        source_ip="192.0.2.1",
        protocol="HTTP/1.1",
        route_key="$default",
        path_parameters={},
        domain="api.example",
    )
    return events.http_event(head, body, invocation_id=ID, time_ms=1_700_000_000_000)
