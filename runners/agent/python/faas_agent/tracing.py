"""The trace id in the environment, ``_X_AMZN_TRACE_ID``, which is another one in every attempt.

`os.environ` sets a variable by ``setenv``, and glibc keeps every text that a variable ever had: 144 bytes an attempt,
until the process is at its memory limit, and a search among them all. So what is put into the environment is a buffer
of ours, whose text changes.
"""

from __future__ import annotations

import os
from typing import Any, Callable

_NAME = "_X_AMZN_TRACE_ID"
_KEY = _NAME.encode()
_START = _KEY + b"="
_BUFFER_BYTES = 512


class TraceId:
    """The variable, as C, Python and programs that are started see it."""

    def __init__(self) -> None:
        self._environ: Any = os.environ
        self._seen_by_python: Any = getattr(os.environ, "_data", None)
        self._put = _putter() if isinstance(self._seen_by_python, dict) else None

    def set(self, trace_id: bytes) -> None:
        """Have this one in the environment from now on, or none."""
        environ = os.environ
        if not trace_id:
            environ.pop(_NAME, None)
        elif self._put is None or environ is not self._environ or len(trace_id) > _BUFFER_BYTES - len(_START) - 1:
            environ[_NAME] = os.fsdecode(trace_id)
        else:
            self._put(_START + trace_id)
            self._seen_by_python[_KEY] = trace_id


def _putter() -> Callable[[bytes], None] | None:
    """``putenv`` of one buffer with a new text; None where this Python cannot call it."""
    try:
        import ctypes

        putenv = ctypes.PyDLL(None).putenv
        buffer: Any = ctypes.create_string_buffer(_BUFFER_BYTES)
        address = ctypes.c_void_p(ctypes.addressof(buffer))
    except (ImportError, OSError, AttributeError):
        return None

    def put(text: bytes) -> None:
        buffer.value = text
        putenv(address)  # each time: user code may have set or removed the variable

    return put
