"""What a handler returned, as the body of a result frame."""

from __future__ import annotations

import json
from typing import Any

from . import faults

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def encode(value: Any, max_bytes: int) -> tuple[bytes, bool]:
    """The body, and whether it is raw bytes. Raises `faults.Fault` for what JSON cannot hold or is over the limit."""
    raw = isinstance(value, (bytes, bytearray, memoryview))
    body = bytes(value) if raw else _to_json(value)
    if len(body) > max_bytes:
        raise faults.Fault(
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({len(body)} bytes) exceeded maximum allowed payload size ({max_bytes} bytes).",
        )
    return body, raw


def _to_json(value: Any) -> bytes:
    try:
        try:
            return _encode(value).encode()
        except UnicodeEncodeError:  # a lone surrogate: JSON can hold it, UTF-8 cannot
            return _encode_ascii(value).encode()
    except Exception as error:
        raise faults.Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
