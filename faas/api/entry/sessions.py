"""Sessions of the page: what their cookie says, and which requests may use it. Pure functions.

A session is a signed note: until when, and an id by which it can be ended. The key is made of the platform's token, so
all sessions end when that changes, every control API of the platform knows them, and none is kept anywhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

import msgspec

from faas.core import errors
from faas.core.http import headers

LASTS_MS = 12 * 3_600_000
"""A working day: then the token is asked for again."""
CODE_LASTS_MS = 60_000
"""For how long a link that `faas open` made can be used."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES = frozenset({None, "same-origin", "none"})
"""What browsers say of requests of the page itself, and of an address that a person opened; old ones say nothing."""
_LONGEST = 200


class Session(msgspec.Struct, frozen=True):
    """One login: until when it lasts, and the id by which it is ended earlier."""

    id: str
    expires_at_ms: int


class SessionKey(msgspec.Struct, frozen=True):
    """What signs the sessions of one platform, and the name of its cookie."""

    secret: bytes
    cookie: str

    @classmethod
    def of(cls, token: str) -> SessionKey:
        """The key of a token. Two platforms on one host have cookies of different names: ports do not part cookies."""
        # Derived: what is signed, and the cookie's name that everybody sees, tell nothing of the token.
        secret = _mac(token.encode(), b"faas session")
        return cls(secret, headers.SESSION_COOKIE + _mac(secret, b"name").hex()[:8])

    def begin(self, now_ms: int) -> Session:
        """A new session."""
        return Session(secrets.token_urlsafe(16), now_ms + LASTS_MS)

    def sign(self, session: Session) -> str:
        """The value of its cookie."""
        told = f"{session.expires_at_ms}.{session.id}"
        return f"{told}.{_text(_mac(self.secret, told.encode()))}"

    def read(self, value: str, now_ms: int) -> Session | None:
        """The session of a cookie; None for what this key has not signed, and for what is over."""
        told, _, signature = value.rpartition(".")
        expected = _mac(self.secret, told.encode(errors="replace"))
        if len(value) > _LONGEST or not hmac.compare_digest(_bytes(signature), expected):
            return None
        # Only now: what we have not signed is compared, and never read.
        expires, _, id = told.partition(".")
        session = Session(id, int(expires))
        return session if now_ms < session.expires_at_ms else None


def digest(code: str) -> str:
    """By what Redis knows a one-time code: who reads Redis cannot use it."""
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()


def refuse_forged(method: str, sent: Mapping[str, str]) -> None:
    """Raise `errors.Forbidden` for a request by cookie that a page of somebody else could have made a browser send.

    A page of another port of the same host counts as the same site: its requests have the cookie with them.
    """
    if sent.get("Sec-Fetch-Site") not in _OWN_SITES:
        raise errors.Forbidden("a page of another address may not use this session", hint="open the page itself")
    if method in _SAFE:
        return
    # A form cannot send a field of its own, and a script of another origin has to ask first, which nobody allows.
    if "Origin" not in sent or headers.PAGE not in sent:
        raise errors.Forbidden(
            f"a change by session needs Origin and {headers.PAGE}: 1", hint="send `Authorization: Bearer <token>`"
        )


def _mac(key: bytes, what: bytes) -> bytes:
    return hmac.digest(key, what, "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text.encode() + b"==")
    except (binascii.Error, ValueError):
        return b""
