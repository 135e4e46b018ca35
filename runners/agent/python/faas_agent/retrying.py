"""What an exception says about a further attempt: the classes are those of the module ``faas`` that handlers import."""

from __future__ import annotations

import sys
from typing import Any

_MOST_MS = 1 << 52


def wish(error: BaseException) -> dict[str, Any]:
    """The fields of an error frame that say so; none for any other exception, or when nobody imported ``faas``."""
    module = sys.modules.get("faas")
    if _is(error, getattr(module, "DoNotRetry", None)):
        return {"no_retry": True}
    if _is(error, getattr(module, "RetryAfter", None)):
        return _after(getattr(error, "seconds", None))
    return {}


def _is(error: BaseException, kind: Any) -> bool:
    return isinstance(kind, type) and isinstance(error, kind)


def _after(seconds: Any) -> dict[str, Any]:
    try:
        return {"retry_after_ms": min(max(int(float(seconds) * 1000), 0), _MOST_MS)}
    except (TypeError, ValueError, OverflowError):  # whatever the handler put there is no number of seconds
        return {}
