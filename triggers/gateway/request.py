"""Reading the head of a request; pure functions over bytes. llhttp (`httptools`) decides what is HTTP.

llhttp refuses what requests are smuggled with: bare line feeds, folded fields, a Content-Length twice or beside
Transfer-Encoding. What it takes and a gateway must not is refused here: other versions than 1.0 and 1.1, other transfer
codings than ``chunked``, more or fewer than one Host.
"""

from __future__ import annotations

import functools
import re

import httptools
import msgspec

from faas.core import errors
from triggers.gateway import limits

END = b"\r\n\r\n"
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL).fullmatch
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%\-]*)(?::([0-9]{0,5}))?").fullmatch
_LAST_PORT = 65_535
_TLS, _HTTP2 = b"\x16\x03", b"PRI * HTTP/2"
_REASONS = (
    ("method", "it begins with no method of HTTP"),
    ("http", "expected version 1.0 or 1.1"),
    ("version", "expected version 1.0 or 1.1"),
    ("url", "its target holds what URLs do not"),
    ("content-length", "its Content-Length is no single length, or stands beside Transfer-Encoding"),
    ("transfer-encoding", "its Transfer-Encoding is not chunked alone, or stands beside Content-Length"),
    ("header", "a header field is not written Name: value, in one line that CR LF ends"),
)
"""What is wrong with a request, by a word of the parser's reason."""
_CODING, _LENGTH, _EXPECT, _HOST = "transfer-encoding", "content-length", "expect", "host"


class Head(msgspec.Struct, frozen=True):
    """The head of a request.

    ``fields`` are in the order in which they came, with names in lower case; bytes that are no UTF-8 are lone
    surrogates in them. ``first`` has the first field of each name. ``target`` is as it was sent, ``path`` and ``query``
    its parts; the path is ``*`` for what asks about the gateway as a whole. ``host`` is without the ``port``, which is
    '' when none was named. ``length`` is that of the body, 0 when it ``is_chunked``.
    """

    method: str
    target: str
    path: str
    query: str
    version: str
    fields: list[tuple[str, str]]
    first: dict[str, str]
    host: str
    port: str
    length: int
    is_chunked: bool
    keeps_alive: bool
    expects_continue: bool


def read_head(head: bytes) -> Head:
    """Read a whole head, with the empty line that ends it. Raises `errors.BadRequest` and `errors.HeadTooLarge`."""
    seen = _Seen()
    parser = seen.parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # it is not taken up: the answer is that of a request without it
    except httptools.HttpParserError as error:
        raise _no_http(_reason(head, error)) from error
    if len(seen.fields) > limits.FIELDS:
        raise errors.HeadTooLarge(f"the request has over {limits.FIELDS} header fields", limit=limits.FIELDS)
    version = parser.get_http_version()
    if seen.heads != 1 or version not in ("1.0", "1.1"):
        raise _no_http("expected version 1.0 or 1.1")
    try:
        target = seen.target.decode("ascii")
    except UnicodeDecodeError as error:
        raise _no_http("its target holds bytes that are to be escaped") from error
    method = parser.get_method().decode("ascii")
    authority, path, query = _parts(target, method)
    # Of several of one name the last that goes in stays, which is the first.
    first = dict(reversed(seen.fields))
    if seen.hosts > 1 or (version == "1.1" and not seen.hosts):
        raise _no_http("expected one Host")
    host, port = host_and_port(authority or first.get(_HOST, ""))
    return Head(
        method=method,
        target=target,
        path=path,
        query=query,
        version=version,
        fields=seen.fields,
        first=first,
        host=host or "localhost",
        port=port,
        length=int(first.get(_LENGTH, 0)),
        is_chunked=_is_chunked(first.get(_CODING), version),
        keeps_alive=seen.keeps_alive,
        expects_continue=version == "1.1" and first.get(_EXPECT, "").lower() == "100-continue",
    )


def refuse_what_is_no_head(begin: bytes) -> None:
    """Raise for the begin of a head that cannot become one, so that nobody waits for its end.

    `errors.BadRequest`, `errors.TargetTooLong` or `errors.HeadTooLarge`.
    """
    refuse_what_is_too_long(begin)
    try:
        # An object without callbacks: what comes is judged, and nothing is kept.
        httptools.HttpRequestParser(object()).feed_data(begin)
    except httptools.HttpParserError as error:
        raise _no_http(_reason(begin, error)) from error


@functools.lru_cache(maxsize=1024)
def host_and_port(authority: str) -> tuple[str, str]:
    """A host without the dot that may end it, and its port; '' for what is not there. Raises `errors.BadRequest`."""
    found = _AUTHORITY(authority)
    if found is None or int(found[2] or 0) > _LAST_PORT:
        raise _no_http("its Host is none")
    return found[1].rstrip("."), found[2] or ""


def refuse_what_is_too_long(head: bytes | bytearray) -> None:
    """Raise `errors.TargetTooLong` or `errors.HeadTooLarge` for a head, or the begin of one."""
    if len(head) <= limits.LINE_BYTES:
        return
    if head.find(b"\r\n", 0, limits.LINE_BYTES + 2) < 0:
        raise errors.TargetTooLong(f"the request line is over {limits.LINE_BYTES} bytes", limit=limits.LINE_BYTES)
    if len(head) > limits.HEAD_BYTES:
        raise errors.HeadTooLarge(f"the head of the request is over {limits.HEAD_BYTES} bytes", limit=limits.HEAD_BYTES)


class _Seen:
    """What the parser tells of one head."""

    __slots__ = ("fields", "heads", "hosts", "keeps_alive", "parser", "target")

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[str, str]] = []
        self.hosts = 0
        self.heads = 0
        self.keeps_alive = False
        self.parser: httptools.HttpRequestParser | None = None

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _key(name)
        if key == _HOST:
            self.hosts += 1
        self.fields.append((key, value.rstrip(b" \t").decode("utf-8", "surrogateescape")))

    def on_headers_complete(self) -> None:
        self.heads += 1
        # The parser knows it only now: when the message is whole, it has begun to forget.
        self.keeps_alive = self.parser is not None and self.parser.should_keep_alive()


@functools.lru_cache(maxsize=256)
def _key(name: bytes) -> str:
    return name.decode("ascii").lower()


def _is_chunked(coding: str | None, version: str) -> bool:
    if coding is None:
        return False
    if coding.lower() != "chunked" or version == "1.0":
        raise _no_http("expected no Transfer-Encoding but chunked, and that of HTTP/1.1")
    return True


def _parts(target: str, method: str) -> tuple[str, str, str]:
    """The authority, when the target names one, its path and its query, all as they were sent."""
    if method == "CONNECT":
        raise _no_http("CONNECT is for proxies, which this is none")
    if target == "*" and method == "OPTIONS":
        return "", "*", ""
    absolute = None if target.startswith("/") else _ABSOLUTE(target)
    if absolute is None and not target.startswith("/"):
        raise _no_http("expected a target that begins with a slash, or a whole URL")
    authority, rest = absolute.groups() if absolute else ("", target)
    path, _, query = rest.partition("?")
    return authority.rpartition("@")[2], path or "/", query


def _reason(begin: bytes, error: Exception) -> str:
    """What is wrong with a head, in our words: those of the parser are about the parser."""
    if begin.startswith(_TLS):
        return "it begins like TLS, and this port has none"
    if begin.startswith(_HTTP2):
        return "it begins like HTTP/2, and this port has 1.1"
    told = str(error).lower()
    return next((why for word, why in _REASONS if word in told), "its lines are not those of HTTP/1.1")


def _no_http(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"no HTTP request: {why}")
