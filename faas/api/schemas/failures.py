"""The one shape of all errors."""

from __future__ import annotations

import msgspec


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: ``code`` for programs, ``message`` and ``hint`` for people."""

    code: str
    message: str
    hint: str | msgspec.UnsetType = msgspec.UNSET
    invocation_id: str | msgspec.UnsetType = msgspec.UNSET


class ErrorBody(msgspec.Struct, frozen=True):
    """The one shape of every error body; ``error`` may name further things (function, limit, value)."""

    error: ErrorDetail
