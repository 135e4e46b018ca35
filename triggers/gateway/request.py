"""Reading the head of a request; pure functions over bytes. llhttp (`httptools`) decides what is HTTP.

llhttp refuses what requests are smuggled with: bare line feeds, folded fields, a Content-Length twice or beside
Transfer-Encoding. What it takes and a gateway must not is refused here: other versions than 1.0 and 1.1, other transfer
codings than ``chunked``, more or fewer than one Host.
"""

from __future__ import annotations

import contextlib
import re

import httptools
import msgspec

from faas.core import errors
from triggers.gateway import limits

END = b"\r\n\r\n"
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL).fullmatch
_FRAMING = frozenset({b"host", b"transfer-encoding", b"content-length", b"expect"})


class Head(msgspec.Struct, frozen=True):
    """The head of a request.

    ``fields`` are in the order in which they came, with names in lower case; bytes that are no UTF-8 are lone
    surrogates in them. ``target`` is as it was sent, ``path`` and ``query`` its parts. ``host`` is without its port.
    ``length`` is that of the body, 0 when it ``is_chunked``.
    """

    method: str
    target: str
    path: str
    query: str
    version: str
    fields: list[tuple[str, str]]
    host: str
    length: int
    is_chunked: bool
    keeps_alive: bool
    expects_continue: bool

    def field(self, name: str) -> str | None:
        """The first field of this name, which is in lower case."""
        return next((value for key, value in self.fields if key == name), None)


def read_head(head: bytes) -> Head:
    """Read a whole head, with the empty line that ends it. Raises `errors.BadRequest` and `errors.HeadTooLarge`."""
    seen = _Seen()
    parser = seen.parser = httptools.HttpRequestParser(seen)
    try:
        # An upgrade is not taken up: the answer is that of a request without it.
        with contextlib.suppress(httptools.HttpParserUpgrade):
            parser.feed_data(head)
    except httptools.HttpParserError as error:
        raise _no_http(str(error)) from error
    if len(seen.fields) > limits.FIELDS:
        raise errors.HeadTooLarge(f"the request has over {limits.FIELDS} header fields", limit=limits.FIELDS)
    version = parser.get_http_version()
    if seen.heads != 1 or version not in ("1.0", "1.1"):
        raise _no_http("expected version 1.0 or 1.1")
    target = seen.target.decode("ascii")
    authority, path, query = _parts(target, parser.get_method())
    length, is_chunked, host, expects = _framing(seen.framing, version)
    return Head(
        method=parser.get_method().decode("ascii"),
        target=target,
        path=path,
        query=query,
        version=version,
        fields=seen.fields,
        host=_without_port(authority or host),
        length=length,
        is_chunked=is_chunked,
        keeps_alive=seen.keeps_alive,
        expects_continue=expects,
    )


def refuse_what_is_no_head(begin: bytes) -> None:
    """Raise for the begin of a head that cannot become one, so that nobody waits for its end.

    `errors.BadRequest`, `errors.TargetTooLong` or `errors.HeadTooLarge`.
    """
    refuse_what_is_too_long(begin)
    try:
        httptools.HttpRequestParser(object()).feed_data(begin)
    except httptools.HttpParserError as error:
        raise _no_http(str(error)) from error


def refuse_what_is_too_long(head: bytes | bytearray) -> None:
    """Raise `errors.TargetTooLong` or `errors.HeadTooLarge` for a head, or the begin of one."""
    if len(head) <= limits.LINE_BYTES:
        return
    if head.find(b"\r\n", 0, limits.LINE_BYTES + 2) < 0:
        raise errors.TargetTooLong(f"the request line is over {limits.LINE_BYTES} bytes", limit=limits.LINE_BYTES)
    if len(head) > limits.HEAD_BYTES:
        raise errors.HeadTooLarge(f"the head of the request is over {limits.HEAD_BYTES} bytes", limit=limits.HEAD_BYTES)


class _Seen:
    """What the parser tells of one head. ``framing`` are the fields that say where the message ends, and for whom."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[str, str]] = []
        self.framing: list[tuple[bytes, bytes]] = []
        self.heads = 0
        self.keeps_alive = False
        self.parser: httptools.HttpRequestParser | None = None

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        name, value = name.lower(), value.strip(b" \t")
        if name in _FRAMING:
            self.framing.append((name, value))
        self.fields.append((name.decode("ascii"), value.decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        self.heads += 1
        # The parser knows it only now: when the message is whole, it has begun to forget.
        self.keeps_alive = self.parser is not None and self.parser.should_keep_alive()


def _framing(fields: list[tuple[bytes, bytes]], version: str) -> tuple[int, bool, str, bool]:
    """Length, whether chunked, Host, whether the client waits for a word to send its body."""
    length, is_chunked, expects = 0, False, False
    hosts: list[str] = []
    for name, value in fields:
        if name == b"host":
            hosts.append(value.decode("utf-8", "surrogateescape"))
        elif name == b"content-length":
            length = int(value)
        elif name == b"expect":
            expects = version == "1.1" and value.lower() == b"100-continue"
        elif value.lower() != b"chunked" or version == "1.0":
            raise _no_http("expected no Transfer-Encoding but chunked, and that of HTTP/1.1")
        else:
            is_chunked = True
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        raise _no_http("expected one Host")
    return length, is_chunked, hosts[0] if hosts else "localhost", expects


def _parts(target: str, method: bytes) -> tuple[str, str, str]:
    """The authority, when the target names one, its path and its query, all as they were sent."""
    if method == b"CONNECT":
        raise _no_http("CONNECT is for proxies, which this is none")
    absolute = _ABSOLUTE(target)
    authority, rest = absolute.groups() if absolute else ("", target)
    path, _, query = rest.partition("?")
    return authority.rpartition("@")[2], path or "/", query


def _without_port(host: str) -> str:
    return host.partition(":")[0]


def _no_http(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"no HTTP request: {why}")
