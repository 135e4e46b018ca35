"""A WSGI application (PEP 3333) as the handler of HTTP events, as Function Compute calls one."""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any, Callable
from urllib.parse import unquote_to_bytes, urlsplit

from . import faults

_JOINED_APART = "set-cookie"


def respond(application: Callable[..., Any], event: bytes, context: Any) -> dict[str, Any]:
    """The response of an application to a request; an event that is none is the body of a POST to ``/``."""
    response = _Response()
    parts = application(environ(event, context), response.start)
    try:
        for part in parts:
            response.write(part)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return response.finished()


def environ(event: bytes, context: Any) -> dict[str, Any]:
    """What WSGI calls the environment of a request, and the two keys that are Function Compute's."""
    given = _request(event)
    http, headers = given["requestContext"]["http"], dict(given.get("headers") or {})
    if given.get("cookies"):
        headers["cookie"] = "; ".join(given["cookies"])
    path, query = given["rawPath"], given.get("rawQueryString") or ""
    body = _body(given)
    host, port = _address(headers.get("host", "localhost"))
    made = {
        "REQUEST_METHOD": http.get("method", "GET"),
        "SCRIPT_NAME": "",
        # Texts of WSGI hold bytes, one in each character.
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.pop("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": http.get("protocol", "HTTP/1.1"),
        "REMOTE_ADDR": http.get("sourceIp", ""),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": headers.get("x-forwarded-proto", "http"),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        # One attempt at a time in a process (PEP 3333).
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "fc.context": context,
        "fc.request_uri": f"{path}?{query}" if query else path,
    }
    headers.pop("content-length", None)
    made.update({f"HTTP_{name.upper().replace('-', '_')}": str(value) for name, value in headers.items()})
    return made


def _address(host: str) -> tuple[str, str]:
    try:
        at = urlsplit(f"//{host}")
        return at.hostname or host, str(at.port or 80)
    except ValueError:  # whatever a client calls the host, it is the application's to judge
        return host, "80"


def _request(event: bytes) -> dict[str, Any]:
    try:
        given = json.loads(event)
    except (ValueError, RecursionError):
        given = None
    if isinstance(given, dict) and "rawPath" in given and "http" in (given.get("requestContext") or {}):
        return given
    headers = {"content-type": "application/json"}
    body = base64.b64encode(event).decode()
    http = {"method": "POST", "protocol": "HTTP/1.1"}
    return {
        "rawPath": "/",
        "headers": headers,
        "requestContext": {"http": http},
        "body": body,
        "isBase64Encoded": True,
    }


def _body(given: dict[str, Any]) -> bytes:
    body = given.get("body") or ""
    return base64.b64decode(body) if given.get("isBase64Encoded") else str(body).encode()


class _Response:
    """What an application says: status and headers by `start`, the body piece by piece."""

    def __init__(self) -> None:
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        """Take status and headers; the function returned is the old way to write a body."""
        if self._status and exc_info is None:
            raise RuntimeError("start_response was called twice")
        self._status, self._headers = str(status), [(str(name), str(value)) for name, value in headers]
        return self.write

    def write(self, part: Any) -> None:
        """Add to the body."""
        self._body += part.encode() if isinstance(part, str) else part

    def finished(self) -> dict[str, Any]:
        """The response in this platform's form."""
        if not self._status:
            raise faults.Fault("Runtime.HandlerError", "the WSGI application did not call start_response")
        headers: dict[str, str] = {}
        for name, value in self._headers:
            if name.lower() != _JOINED_APART:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return {
            "statusCode": self._status.partition(" ")[0],
            "headers": headers,
            "cookies": [value for name, value in self._headers if name.lower() == _JOINED_APART],
            "body": base64.b64encode(bytes(self._body)).decode(),
            "isBase64Encoded": True,
        }
