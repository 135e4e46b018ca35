"""What a line says besides its text: its level, its message and its fields. Pure functions, for lines of any origin.

Known are lines that are a JSON object, lines as `logging` has them on Lambda (``[ERROR]<tab>time<tab>id<tab>message``,
behind which what was given as ``extra`` may stand as a JSON object), ``[ERROR] message`` as an exception that nobody
caught is told, and those of `logging.basicConfig` (``ERROR:name:message``). Whatever else is printed is a message
without a level. No line is an error: what is too large, too deep or not quite JSON has no fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from faas.core.values import unreadable

Scalar = str | int | float | bool | None
Fields = dict[str, Scalar]

MOST_BYTES = 64 * 1024
"""A line with more characters has no fields."""

MOST_FIELDS = 100
MOST_DEPTH = 8
MOST_TEXT = 4_096
"""Characters that are kept of a field's text."""

MOST_NAME = 200
"""Characters of a field's name: one that is longer is left out."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""The levels that are told apart, by the numbers of `logging`."""

_NAMES = {number: name for name, number in LEVELS.items()}
_SPELLED = {
    **LEVELS,
    "trace": 10, "verbose": 10, "fine": 10, "dbg": 10,
    "information": 20, "notice": 20, "log": 20,
    "warn": 30,
    "err": 40, "severe": 40, "exception": 40,
    "crit": 50, "fatal": 50, "panic": 50, "alert": 50, "emergency": 50, "emerg": 50,
}  # fmt: skip
_LEVEL_KEYS = ("level", "severity", "levelname", "log.level", "lvl")
_MESSAGE_KEYS = ("message", "msg")
_LAMBDA = re.compile(r"\[([A-Za-z]{3,11})\](?:[\t ]|$)")
_BASIC = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL):[^:\s]*:")
_decode = msgspec.json.Decoder(dict[str, object]).decode


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line, as it is stored, told and shown. ``id`` grows: a follower asks for what is after the last one it has.

    It is 0 until the line is recorded. ``level`` is None where the line says none, ``fields`` where it has none.
    """

    id: int
    at_ms: int
    function: str
    revision: int
    invocation_id: str
    attempt: int
    text: str
    level: str | None = None
    fields: Fields | None = None

    @property
    def characters(self) -> int:
        """What an answer has of it. Paths of fields repeat what stands in its text once."""
        return len(self.text) + sum(map(len, self.fields or ()))


class LineFacts:
    """What one line says. ``level`` is None where it says none; its fields are looked for when somebody asks."""

    __slots__ = ("_fields", "_held", "_message", "level")

    def __init__(self, level: int | None, message: str, held: dict[str, object] | None = None) -> None:
        self.level = level
        self._message = message
        self._held = held
        self._fields: Fields | None = None

    @property
    def message(self) -> str:
        """What a person would read first."""
        found = (self.value(key)[0] for key in _MESSAGE_KEYS)
        return next((value for value in found if isinstance(value, str)), self._message)

    @property
    def fields(self) -> Fields:
        """All fields, by their paths; empty where there are none."""
        if self._fields is None:
            self._fields = flat(self._held) if self._held else {}
        return self._fields

    def value(self, name: str) -> tuple[Scalar, bool]:
        """The field of a name, and whether there is one. One alone is found in a quarter of the time that all take."""
        if self._held is None:
            return None, False
        found: object = self._held.get(name, self._held)
        if found is self._held:
            for part in name.split("."):
                if not isinstance(found, dict) or part not in found:
                    # A name may have dots of its own, and stand in a list.
                    return self.fields.get(name), name in self.fields
                found = found[part]
        if isinstance(found, str):
            return found[:MOST_TEXT], True
        return (found, True) if isinstance(found, int | float | bool | None) else (None, False)


def level_name(level: int | None) -> str | None:
    """What people call a level: ``error`` for 40."""
    return None if level is None else _NAMES.get(level)


def level_of(text: str) -> int | None:
    """The level alone. It is asked for each line that is recorded, and nearly all are told by their first character."""
    first = text[:1]
    if first == "[":
        found = _LAMBDA.match(text)
        return _SPELLED.get(found[1].lower()) if found else None
    if first == "{":
        return _level_of_object(_object(text))
    if first in "DIWEC" and first:
        found = _BASIC.match(text)
        return LEVELS[found[1].lower()] if found else None
    return None


def read(text: str) -> LineFacts:
    """All that a line says."""
    if text[:1] == "{":
        held = _object(text)
        if held is not None:
            return LineFacts(_level_of_object(held), text, held)
    elif text[:1] == "[" and (found := _LAMBDA.match(text)):
        return _of_brackets(text, found)
    elif found := _BASIC.match(text):
        return LineFacts(LEVELS[found[1].lower()], text[found.end() :])
    return LineFacts(None, text)


def each_of(text: str) -> Iterator[str]:
    """The lines of a row: of very many short ones several are together."""
    yield from text.split("\n")


def highest_level(text: str) -> int | None:
    """The level of a row, which is the highest of its lines."""
    if "\n" not in text:
        return level_of(text)
    return max((level for line in text.split("\n") if (level := level_of(line)) is not None), default=None)


def flat(held: dict[str, object]) -> Fields:
    """The scalars of an object by their paths, ``user.id``; the first `MOST_FIELDS` of them, no deeper than is kept."""
    found: Fields = {}
    # A stack of our own: what a handler prints decides how deep this goes.
    left: list[tuple[str, object, int]] = [("", held, 0)]
    while left and len(found) < MOST_FIELDS:
        path, value, depth = left.pop()
        if isinstance(value, dict | list) and depth < MOST_DEPTH:
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            before = f"{path}." if path else ""
            inner = [(f"{before}{name}", part, depth + 1) for name, part in _first(parts)]
            left += reversed(inner)
        elif isinstance(value, str):
            found.setdefault(path, value[:MOST_TEXT])
        elif isinstance(value, int | float | bool | None):
            found.setdefault(path, value)
    return found


def _first(parts: object) -> Iterator[tuple[object, object]]:
    for count, (name, part) in enumerate(parts):  # type: ignore[arg-type, var-annotated]
        if count >= MOST_FIELDS:
            return
        if len(str(name)) <= MOST_NAME:
            yield name, part


def _of_brackets(text: str, found: re.Match[str]) -> LineFacts:
    level = _SPELLED.get(found[1].lower())
    if "\t" in text:
        return _of_lambda(text, level)
    return LineFacts(level, text if level is None else text[found.end() :])


def _of_lambda(text: str, level: int | None) -> LineFacts:
    """A line whose parts stand between tabs. ``extra`` is a JSON object behind the last one."""
    message, extra = text.split("\t", 3)[-1], None
    # Tabs within JSON are written as escapes, so the last one is the one before it.
    if message.endswith("}") and (at := message.rfind("\t{")) >= 0:
        extra = _object(message[at + 1 :])
    if extra is None:
        return LineFacts(level, message)
    return LineFacts(level, message[:at], extra)


def _object(text: str) -> dict[str, object] | None:
    if len(text) > MOST_BYTES or not text.rstrip().endswith("}"):
        return None
    try:
        return _decode(text)
    except unreadable.ERRORS:
        return None


def _level_of_object(held: dict[str, object] | None) -> int | None:
    for key in _LEVEL_KEYS if held else ():
        value = held.get(key)  # type: ignore[union-attr]
        if isinstance(value, str):
            return _SPELLED.get(value[:20].lower())
        if isinstance(value, int) and not isinstance(value, bool):
            return min(max(value // 10 * 10, 10), 50)
    return None
