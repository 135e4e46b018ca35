"""Which texts are keys, for buckets: those of `faas.core.objects.keys`; no I/O."""

from __future__ import annotations

from faas.core import errors
from faas.core.objects import keys

MAX_KEY_BYTES = keys.MAX_KEY_BYTES
MAX_NAME_BYTES = keys.MAX_NAME_BYTES


def fits(key: str) -> bool:
    """Whether a key is not too long."""
    return len(key.encode()) <= MAX_KEY_BYTES


def split_key(key: str) -> list[str]:
    """The components of a key. Raises `errors.BadRequest` for what is not a key."""
    fault = keys.fault_of(key)
    if fault is not None:
        raise errors.BadRequest(f"bad object key {key[:80]!r}: {fault}", key=key[:80].encode(errors="replace").decode())
    return key.split("/")
