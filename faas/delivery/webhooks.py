"""One signed POST of a record to a URL, and what its answer means.

``Faas-Signature: t=<Unix seconds>,v1=<hex>``; the hex is the HMAC-SHA256 of ``<Unix seconds>.<body>``. A redirect is
not followed, of the answer nothing but the head is read, and no cookie, proxy or credential of the host is used.
"""

from __future__ import annotations

import asyncio
import email.utils
import enum
import hashlib
import hmac
import socket
import urllib.parse
from collections.abc import Mapping
from concurrent import futures

import aiohttp
import msgspec
from aiohttp import abc

from faas.core import clock
from faas.core.http import headers as names

LOOKUPS_AT_ONCE = 16
"""Names that are looked up at once. One that many destinations have is looked up once."""

LONGEST_WAIT_MS = 3_600_000
"""The most that a receiver's Retry-After can ask for."""

_AGAIN = frozenset({408, 425, 429})
_LOOP_DETECTED = 508


class Verdict(enum.Enum):
    """What became of one try to deliver a record."""

    DELIVERED = "delivered"
    LATER = "later"
    NEVER = "never"


class Tried(msgspec.Struct, frozen=True):
    """The verdict and, unless it was delivered, why; for how long the receiver asks to be left alone."""

    verdict: Verdict
    why: str = ""
    after_ms: int = 0


DELIVERED = Tried(Verdict.DELIVERED)


def signature(secret: str, at_s: int, body: bytes) -> str:
    """The value of ``Faas-Signature`` for what is sent at this moment."""
    mac = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256)
    return f"t={at_s},v1={mac.hexdigest()}"


class NamesApart(abc.AbstractResolver):
    """Looks names up in threads of its own.

    A look-up may take half a minute, and nothing ends it. In the threads that asyncio has for everything, some names
    whose servers do not answer would keep timers, alarms and the database waiting.
    """

    def __init__(self) -> None:
        self._threads = futures.ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[abc.ResolveResult]:
        """See `aiohttp.abc.AbstractResolver`."""
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host, port, family)
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            abc.ResolveResult(hostname=host, host=address, port=port, family=kind, proto=proto, flags=numeric)
            for kind, proto, address in found
        ]

    async def close(self) -> None:
        """See `aiohttp.abc.AbstractResolver`. A look-up that is under way is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[tuple[socket.AddressFamily, int, str]]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    # With the name of its interface, where the address is of one link only.
    return [
        (kind, proto, socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0])
        for kind, _, proto, _, address in found
    ]


def session(timeout_ms: int) -> aiohttp.ClientSession:
    """A client for `post`; close it. How many requests are under way at once is the caller's affair."""
    return aiohttp.ClientSession(
        # Without the library's own bound: `AT_ONCE` is one for each destination, so that a slow one holds up no
        # other.
        connector=aiohttp.TCPConnector(limit=0, resolver=NamesApart()),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_ms / 1000),
        auto_decompress=False,
        trust_env=False,
    )


async def post(
    client: aiohttp.ClientSession, url: str, body: bytes, *, secret: str, headers: Mapping[str, str]
) -> Tried:
    """Send ``body``, JSON, to ``url``. Never raises for what the receiver or the network does."""
    now_s = clock.now_ms() // 1_000
    sent = {**headers, "Content-Type": "application/json", names.SIGNATURE: signature(secret, now_s, body)}
    try:
        async with client.post(url, data=body, headers=sent, allow_redirects=False) as response:
            return judged(response.status, response.headers.get("Retry-After"), now_s)
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as error:
        # The error names the whole URL.
        return Tried(Verdict.NEVER, f"{in_words(url)} is no URL that can be sent to: {type(error).__name__}")
    except TimeoutError:
        return Tried(Verdict.LATER, "the receiver did not answer in time")
    except (aiohttp.ClientError, OSError) as error:
        return Tried(Verdict.LATER, f"{type(error).__name__}: {error}")


def in_words(url: str) -> str:
    """A URL for people and logs: its scheme and host. Of many webhooks the rest is the secret that lets one in."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "a URL that cannot be read"
    has_more = parts.path not in ("", "/") or parts.query
    return f"{parts.scheme}://{host}/{'…' if has_more else ''}"


def judged(status: int, retry_after: str | None, now_s: int) -> Tried:
    """What an answer means: 2xx is delivered, 408, 425, 429 and 5xx but 508 are tried again, else never."""
    if 200 <= status < 300:
        return DELIVERED
    why = f"the receiver answered {status}"
    if status in _AGAIN or (status >= 500 and status != _LOOP_DETECTED):
        return Tried(Verdict.LATER, why, _wait_ms(retry_after, now_s))
    return Tried(Verdict.NEVER, f"{why}, a redirect, which is not followed" if 300 <= status < 400 else why)


def _wait_ms(retry_after: str | None, now_s: int) -> int:
    """Retry-After as milliseconds: seconds, or a date; what cannot be read asks for nothing."""
    if retry_after is None:
        return 0
    if retry_after.isascii() and retry_after.isdigit():
        return min(int(retry_after[:12]) * 1000, LONGEST_WAIT_MS)
    try:
        until_s = email.utils.parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):
        return 0
    return min(max(int(until_s) - now_s, 0) * 1000, LONGEST_WAIT_MS)
