"""Logging in to the page."""

from __future__ import annotations

import msgspec


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The platform's token, or a code of ``/api/v1/login-codes``: one of the two."""

    token: str | None = None
    code: str | None = None


class LoginCode(msgspec.Struct, frozen=True):
    """A code that is good for one login, before ``expires_at_ms``."""

    code: str
    expires_at_ms: int


class Session(msgspec.Struct, frozen=True):
    """Until when a browser is logged in; null for who has the token."""

    expires_at_ms: int | None
