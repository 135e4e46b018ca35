"""What a handler returned, as the body of a result frame.

Handlers were written for Lambda's encoder, which is `simplejson` with an addition and takes more than `json` does: a
`Decimal` is a number, bytes within a value are text in UTF-8, a named tuple is an object.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from typing import Any, Callable

from . import faults

_Encode = Callable[[Any, int], Iterable[str]]

_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_being_encoded: dict[int, Any] = {}
"""By which the encoder finds circles; whatever raises in the midst of it leaves some behind."""

_SCALARS = frozenset({str, int, float, bool, type(None)})
_MARK = f"number {os.urandom(16).hex()} "
"""What stands before a number that the encoder knows as a text only. Nobody else's text begins so."""
_marked = re.compile(f'"{_MARK}([^"]*)"'.encode())
_numbers_marked: list[bool] = []


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
        body = _encoded(value)
        # The encoder takes a named tuple for any other. Now the value is known to hold no circle.
        if type(value) not in _SCALARS and _has_named(value):
            body = _encoded(_translated(value))
    except Exception as error:
        raise faults.Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error
    finally:
        if _being_encoded:
            _being_encoded.clear()
        if _numbers_marked:
            _numbers_marked.clear()
    return body


def _encoded(value: Any) -> bytes:
    try:
        text = "".join(_encode(value, 0))
    except TypeError as error:
        if not str(error).startswith("keys must be"):
            raise
        _being_encoded.clear()  # the encoder asks nobody about keys
        value = _translated(value)
        text = "".join(_encode(value, 0))
    try:
        body = text.encode()
    except UnicodeEncodeError:  # a lone surrogate: JSON can hold it, UTF-8 cannot
        body = _encode_ascii(value).encode()
    return _marked.sub(rb"\1", body) if _numbers_marked else body


def _other(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    decimal = _decimal_of(value)
    if decimal is not None:
        _numbers_marked.append(True)
        return _MARK + ("NaN" if decimal.is_nan(value) else decimal.__str__(value))
    # Looked up each time: some replace json.JSONEncoder.default to have their own types encoded everywhere.
    return _encoder.default(value)


def _decimal_of(value: Any) -> Any:
    """The class `Decimal`, for its values; by name, since who has one has imported the module and this need not."""
    kinds = type(value).__mro__
    return next((kind for kind in kinds if kind.__name__ == "Decimal" and kind.__module__ == "decimal"), None)


def _has_named(value: Any) -> bool:
    """Whether a value that holds no circle holds a named tuple. Most of what it holds are scalars: quick for those."""
    waiting = [value]
    for each in waiting:
        kind = type(each)
        if kind is not dict and kind is not list and _is_named(kind):
            return True
        inner = each.values() if isinstance(each, dict) else each if isinstance(each, (list, tuple)) else ()
        if not _SCALARS.issuperset(map(type, inner)):
            waiting += [one for one in inner if type(one) not in _SCALARS]
    return False


def _is_named(kind: type) -> bool:
    return issubclass(kind, tuple) and callable(getattr(kind, "_asdict", None))


def _translated(value: Any) -> Any:
    """The same with objects for named tuples, and with texts for keys that are bytes."""
    if isinstance(value, dict):
        return {key.decode() if isinstance(key, bytes) else key: _translated(each) for key, each in value.items()}
    if isinstance(value, tuple) and _is_named(type(value)):
        named: Any = value
        return _translated(named._asdict())
    return [_translated(each) for each in value] if isinstance(value, (list, tuple)) else value


_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_other).encode
_encode_plainly = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_other).encode


def _made_encoder() -> _Encode:
    """What `json.JSONEncoder.encode` makes anew for every value, and so spends most of its time on for a small one."""
    # Tried once with what it has to do: it is no part of what Python promises.
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    quote = json.encoder.encode_basestring
    try:
        made: _Encode = make(_being_encoded, _other, quote, None, ":", ",", False, False, True)
        if "".join(made({"a": [1, "ü"]}, 0)) == '{"a":[1,"ü"]}':
            return made
    except TypeError:  # another Python may have it otherwise, or not have it
        pass
    return lambda value, _level: (_encode_plainly(value),)


_encode = _made_encoder()
