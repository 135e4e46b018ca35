"""Which texts are keys of objects; pure functions."""

from __future__ import annotations

from collections.abc import Callable

MAX_KEY_BYTES = 1024
MAX_NAME_BYTES = 255


def fault_of(key: str) -> str | None:
    """Why a text is no key; None when it is one."""
    try:
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


def can_match(prefix: str, suffix: str, concerns: Callable[[str], bool] = bool) -> bool:
    """Whether some key begins with ``prefix``, ends with ``suffix``, and is one of those that ``concerns`` takes."""
    overlapping = (prefix + suffix[size:] for size in range(len(suffix) + 1) if prefix.endswith(suffix[:size]))
    longer = (prefix + between + suffix for between in ("x", "/", "/x", "x/", "/x/", "x/x"))
    return any(fault_of(key) is None and concerns(key) for key in (*overlapping, *longer))
