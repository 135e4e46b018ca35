"""JSON as text: what passes as a value here, and what others may read of it. Pure functions over bytes.

Python writes, and reads, what stricter readers refuse: the words ``NaN``, ``Infinity`` and ``-Infinity``, and the
escape of half a character (``\\ud800``), which is what it has of a file name that is no text. Handlers return them, so
results may hold them. An event may not, and neither may a document of which a result is only a part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import msgspec

from faas.core.values import json_words, unreadable

PYTHONS = "it holds NaN, Infinity or half a character, which Python writes and JSON does not have"
MOST_NESTED = 500
"""So many arrays and objects within one another pass everywhere; what is nested deeper may be refused."""

# A decoder gives up where the interpreter's stack ends, which is sooner for who stands deeper in it. Who looks whether
# a value passes looks this much deeper than it lies, so that it can be read wherever it gets to.
_BEFORE, _BEHIND = b"[" * 380, b"]" * 380
_skip = msgspec.json.Decoder(msgspec.Raw).decode
_SIGNS = (b"NaN", b"Infinity", b"\\ud", b"\\uD")
_WORDS = ((b"-Infinity", b" 0       "), (b"Infinity", b" 0      "), (b"NaN", b" 0 "))
_HALF_ESCAPED = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_HALF = re.compile("[\ud800-\udfff]")

_PART_BYTES = 65_536
_LONGEST_SIGN = 10
# A byte with which none of the signs goes on. Where the last bytes of a part have none, the words in them stand right
# behind others, as they do in texts only, where they may stay.
_LAST_SAFE = re.compile(rb"[^InfityNaudD0-9a-fA-F](?=[InfityNaudD0-9a-fA-F]*\Z)").search


def is_json(body: bytes) -> bool:
    """Whether a body is one JSON value in UTF-8 that is not nested too deeply, found without building the value."""
    try:
        _skip(body)
        if body.count(b"[") + body.count(b"{") > MOST_NESTED:
            _skip(b"".join((_BEFORE, body, _BEHIND)))
        if not body.isascii():
            body.decode()
    except unreadable.ERRORS:
        return False
    return True


def is_result(body: bytes) -> bool:
    """Whether a body is one JSON value, or would be but for what only Python reads."""
    return is_json(body) or (may_be_pythons(body) and is_json(plain(body)))


def is_too_deep(result: bytes) -> bool:
    """Whether a result is nested deeper than all who read it could follow."""
    body = plain(result) if may_be_pythons(result) else result
    try:
        _skip(b"".join((_BEFORE, body, _BEHIND)))
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def is_pythons(result: bytes) -> bool:
    """Whether a result is none that any reader of JSON takes."""
    return may_be_pythons(result) and not is_json(result)


def standard(result: bytes) -> bytes:
    """A result as a part of a JSON document: null for `NaN` and its like, U+FFFD for half a character."""
    if not is_pythons(result):
        return result
    try:
        value = json.loads(result, parse_constant=lambda _word: None)
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):  # a number that is too long for Python: the text is still worth reading
        text = json.dumps(result.decode(errors="replace"), ensure_ascii=False)
    return _HALF.sub("\ufffd", text).encode()


def why_not(body: bytes) -> str:
    """What keeps a body from being one JSON value, for people."""
    if may_be_pythons(body) and is_json(plain(body)):
        return PYTHONS
    try:
        body.decode()
        _skip(body)
    except ValueError as error:
        return json_words.why(error)
    except RecursionError:
        pass
    return f"it is nested more than {MOST_NESTED} levels deep"


def may_be_pythons(body: bytes) -> bool:
    """Whether a body holds anything of what only Python reads, be it in a text where everybody reads it."""
    return any(sign in body for sign in _SIGNS)


def plain(body: bytes) -> bytes:
    """The same length with a number for each word and another character for each half of one: as good, or as bad."""
    # In parts: who does it in a thread lets others go on between them.
    return b"".join(_plain_part(part) for part in _parts(body))


def _parts(body: bytes) -> Iterator[bytes]:
    begun = 0
    while begun < len(body):
        end = begun + _PART_BYTES
        if end < len(body) and (safe := _LAST_SAFE(body, end - _LONGEST_SIGN, end)) is not None:
            end = safe.start()
        yield body[begun:end]
        begun = end


def _plain_part(body: bytes) -> bytes:
    for word, number in _WORDS:
        body = body.replace(word, number)
    return _HALF_ESCAPED.sub(rb"\\ufffd", body)
