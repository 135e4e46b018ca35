"""The one way from the command line to the control API.

It is `http.client` and not aiohttp because a command makes one or two calls, one after the other, and because
importing aiohttp alone takes longer than most commands do.
"""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple

import msgspec

from faas.cli import endpoint, older, options
from faas.core import errors
from faas.core.values import unreadable

_CONNECT_S = 10
_CHUNK_BYTES = 1 << 20

Content = bytes | IO[bytes] | Iterable[bytes]


class ApiReply(NamedTuple):
    """A successful answer: its status, its headers (names in lower case) and its JSON."""

    status: int
    headers: dict[str, str]
    value: Any


class Client:
    """Calls the control API of one platform. Every method raises the `errors.FaasError` that the API answered."""

    def __init__(self, where: endpoint.Endpoint) -> None:
        self.where = where
        self._address = urllib.parse.urlsplit(where.api)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at a path; query values that are None are left out, and those of a list each stand there."""
        return self.send("GET", path, query=query).value

    def require(self, within_s: float) -> None:
        """Raise `errors.Unavailable` unless the control API answers within so long."""
        connection = http.client.HTTPConnection(
            self._address.hostname or "localhost", self._address.port, timeout=within_s
        )
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Content | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> ApiReply:
        """One request whose answer is JSON or empty."""
        with self.open(method, path, body=body, headers=headers, query=query) as response:
            content = response.read()
            value = _value(content)
            return ApiReply(response.status, {name.lower(): text for name, text in response.getheaders()}, value)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        *,
        body: Content | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """One request whose answer is read by the caller, piece by piece."""
        connection = http.client.HTTPConnection(
            self._address.hostname or "localhost", self._address.port, timeout=_CONNECT_S, blocksize=_CHUNK_BYTES
        )
        try:
            yield self._exchange(connection, method, _target(path, query), body, headers or {})
        except (ConnectionError, http.client.HTTPException, TimeoutError) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        body: Content | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.connect()
        except OSError as error:
            raise self._away(error) from error
        connection.sock.settimeout(None)  # an answer may take as long as a function's own timeout
        with suppress(BrokenPipeError, ConnectionResetError):  # a body refused early is answered before it is all sent
            connection.request(method, target, body, {"Authorization": f"Bearer {self.where.token}", **headers})
        response = connection.getresponse()
        # Its body is read here, before the connection is closed.
        if response.status >= 400:
            raise older.in_place_of(error_of(response.status, response.read()), target, self.where.api)
        return response

    def _away(self, error: Exception) -> errors.Unavailable:
        return errors.Unavailable(
            f"the platform at {self.where.api} does not answer: {error or type(error).__name__}",
            hint="start it with `faas up`; `faas doctor` says more",
        )


def connect() -> Client:
    """A client of the platform that this call of the command line is about. Raises `errors.Unavailable`."""
    return Client(endpoint.find(options.settings().data.root))


def quote(name: str) -> str:
    """A name as one segment of a path. Raises `errors.BadRequest` for an empty one, which would be another path."""
    if not name:
        raise errors.BadRequest("the name or id is empty", hint="a variable of the shell that is not set?")
    return urllib.parse.quote(name, safe="")


def _value(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content) if content else None
    except unreadable.ERRORS as error:
        raise errors.Unavailable(
            f"no answer of the control API: {content[:200]!r}", hint="what listens there?"
        ) from error


def error_of(status: int, content: bytes) -> errors.FaasError:
    """The error of the tree that an error body stands for."""
    try:
        detail = msgspec.json.decode(content, type=dict[str, dict[str, Any]])["error"]
    except (*unreadable.ERRORS, KeyError):
        detail = {"message": f"the platform answered {status}: {content[:200].decode(errors='replace')}"}
    return errors.told(detail, status)


def _target(path: str, query: Mapping[str, Any] | None) -> str:
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"{path}?{urllib.parse.urlencode(given, doseq=True)}" if given else path
