"""What to do about an error that Redis answers with."""

from __future__ import annotations

RIGHTS = "check user, password and ACL rules of redis_url; see docs/how-to/redis-and-postgresql.md"
_FULL = "is its disk or its memory full? see `faas doctor`"
_FORBIDDEN = ("NOPERM", "NOAUTH", "WRONGPASS")


def advice(said: str) -> str:
    """A hint for the error that begins with ``said``."""
    return RIGHTS if said.startswith(_FORBIDDEN) else _FULL
