"""Which texts are keys; no I/O."""

from __future__ import annotations

from faas.core import errors

MAX_KEY_BYTES = 1024
MAX_NAME_BYTES = 255


def fits(key: str) -> bool:
    """Whether a key is not too long."""
    return len(key.encode()) <= MAX_KEY_BYTES


def split_key(key: str) -> list[str]:
    """The components of a key. Raises `errors.BadRequest` for what is not a key."""
    fault = _fault_of(key)
    if fault is not None:
        raise errors.BadRequest(f"bad object key {key[:80]!r}: {fault}", key=key[:80].encode(errors="replace").decode())
    return key.split("/")


def _fault_of(key: str) -> str | None:
    try:
        # Names that are no text come from disks, as lone surrogates; no JSON could carry them.
        encoded = key.encode()
    except UnicodeEncodeError:
        return "it is not text that UTF-8 can hold"
    if not key:
        return "it is empty"
    if len(encoded) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes"
    if "\0" in key:
        return "it holds a NUL character"
    names = key.split("/")
    if "" in names:
        return "it starts or ends with a slash, or has two in a row"
    if any(name.startswith(".") for name in names):
        return "a name in it starts with a dot"
    if any(len(name.encode()) > MAX_NAME_BYTES for name in names):
        return f"a name in it is longer than {MAX_NAME_BYTES} bytes"
    return None
