"""What a handler returned, as the body of a result frame."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Callable

from . import faults

_Encode = Callable[[Any, int], Iterable[str]]

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_being_encoded: dict[int, Any] = {}
"""By which the encoder finds circles; whatever raises in the midst of it leaves some behind."""


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
            return "".join(_encode(value, 0)).encode()
        except UnicodeEncodeError:  # a lone surrogate: JSON can hold it, UTF-8 cannot
            return _encode_ascii(value).encode()
    except Exception as error:
        raise faults.Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
    finally:
        if _being_encoded:
            _being_encoded.clear()


def _other(value: Any) -> Any:
    # Looked up each time: some replace json.JSONEncoder.default to have their own types encoded everywhere.
    return _encoder.default(value)


def _made_encoder() -> _Encode:
    """What `json.JSONEncoder.encode` makes anew for every value, and so spends most of its time on for a small one."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    quote = json.encoder.encode_basestring
    try:
        made: _Encode = make(_being_encoded, _other, quote, None, ":", ",", False, False, True)
        if "".join(made({"a": [1, "ü"]}, 0)) == '{"a":[1,"ü"]}':
            return made
    except TypeError:  # another Python may have it otherwise, or not have it
        pass
    return lambda value, _level: (_encoder.encode(value),)


_encode = _made_encoder()
