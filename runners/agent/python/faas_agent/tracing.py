"""Where an attempt stands in its trace: in the environment, and as the context says it.

The runner says it in up to three lines: the X-Ray header, and, where the caller brought a trace of its own, a W3C
traceparent and tracestate. ``_X_AMZN_TRACE_ID`` is another one in every attempt. `os.environ` sets a variable by
``setenv``, and glibc keeps every text that a variable ever had: 144 bytes an attempt, until the process is at its
memory limit, and a search among them all. So what is put into the environment is a buffer of ours, whose text changes.
``TRACEPARENT`` and ``TRACESTATE`` are in it for attempts whose caller brought them.
"""

from __future__ import annotations

import os
import re
from typing import Any, Callable

_BUFFER_BYTES = 1_024
_ROOT = re.compile(rb"Root=1-([0-9a-f]{8})-([0-9a-f]{24});Parent=([0-9a-f]{16});")


def traceparent(trace: bytes) -> str:
    """The traceparent of an attempt; '' when it has none."""
    lines = trace.split(b"\n")
    if len(lines) > 1:
        return lines[1].decode()
    found = _ROOT.match(trace)
    return f"00-{found[1].decode()}{found[2].decode()}-{found[3].decode()}-01" if found else ""


def tracestate(trace: bytes) -> str:
    """The tracestate that came with it; '' for none."""
    return trace.split(b"\n")[2].decode() if trace.count(b"\n") > 1 else ""


class TraceId:
    """The variables, as C, Python and programs that are started see them."""

    def __init__(self) -> None:
        self._x_ray = _Variable("_X_AMZN_TRACE_ID")
        self._others = (_Variable("TRACEPARENT"), _Variable("TRACESTATE"))
        self._has_others = False

    def set(self, trace: bytes) -> None:
        """Have this one in the environment from now on, or none."""
        if b"\n" not in trace and not self._has_others:
            self._x_ray.set(trace)
            return
        lines = trace.split(b"\n")
        self._x_ray.set(lines[0])
        self._has_others = len(lines) > 1
        for variable, value in zip(self._others, (*lines[1:3], b"", b"")):
            variable.set(value)


class _Variable:
    """One variable, whose text is a buffer of ours."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._key = name.encode()
        self._environ: Any = os.environ
        self._seen_by_python: Any = getattr(os.environ, "_data", None)
        self._put = _putter(self._key + b"=") if isinstance(self._seen_by_python, dict) else None

    def set(self, value: bytes) -> None:
        """Have this value from now on, or none."""
        environ = os.environ
        if not value:
            environ.pop(self._name, None)
        elif self._put is None or environ is not self._environ or len(value) > _BUFFER_BYTES - len(self._key) - 2:
            environ[self._name] = os.fsdecode(value)
        else:
            self._put(value)
            self._seen_by_python[self._key] = value


def _putter(start: bytes) -> Callable[[bytes], None] | None:
    """``putenv`` of one buffer with a new text; None where this Python cannot call it."""
    try:
        import ctypes

        putenv = ctypes.PyDLL(None).putenv
        buffer: Any = ctypes.create_string_buffer(_BUFFER_BYTES)
        address = ctypes.c_void_p(ctypes.addressof(buffer))
    except (ImportError, OSError, AttributeError):
        return None

    def put(value: bytes) -> None:
        buffer.value = start + value
        putenv(address)  # each time: user code may have set or removed the variable

    return put
