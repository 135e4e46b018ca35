"""Which lines somebody wants: by who printed them, when, how grave they are, what stands in them.

A condition is a name, an operator and a value::

    size>1000      user.id=7      status!=ok      path~/photos/      error          !error
    number         equal          not equal       contains           is there       is not there

Two numbers are compared as numbers, also where the field is a text that reads as one. ``level`` is compared by rank.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from faas.core import errors
from faas.core.logs import log_lines

MOST_CONDITIONS = 20
MOST_TEXT = 1_000
"""Characters of a condition, and of a text that is looked for."""

_CONDITION = re.compile(r"(?P<name>[^=<>!~]+)(?P<op>!=|>=|<=|==|=|>|<|~)\s*(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_PLAIN = re.compile(r"(?![0-9]+$)[A-Za-z0-9_-]+")
_HINT = "write NAME=VALUE, or != > >= < <= and ~ (contains) in place of =; NAME alone: it is there"


class FieldOperator(enum.StrEnum):
    """How a field and a value are compared."""

    EQUAL = "="
    UNEQUAL = "!="
    ABOVE = ">"
    FROM = ">="
    BELOW = "<"
    TO = "<="
    CONTAINS = "~"
    THERE = "there"
    NOT_THERE = "not there"


class FieldCondition(msgspec.Struct, frozen=True):
    """One condition on one field; ``value`` is as it was written."""

    name: str
    operator: FieldOperator
    value: str = ""

    @property
    def written(self) -> tuple[str, ...]:
        """What stands in any line for which this holds: the end of the field's name, and a value that it equals.

        Some write letters other than ASCII as escapes, and the places of a list are not written at all. Of numbers only
        whole ones are sure to be there: nobody writes 77 as 7.7e1.
        """
        if self.operator in (FieldOperator.UNEQUAL, FieldOperator.NOT_THERE) or self.name == "level":
            return ()
        end = self.name.rpartition(".")[2]
        is_there = self.name != "message" and _PLAIN.fullmatch(end)
        is_value = self.operator in (FieldOperator.EQUAL, FieldOperator.CONTAINS) and re.fullmatch(
            "[A-Za-z0-9_-]+", self.value
        )
        return (*((f'{end}"',) if is_there else ()), *((self.value,) if is_value else ()))

    def holds(self, facts: log_lines.LineFacts) -> bool:
        """Whether it is so. What is not there is unequal to everything, and neither above nor below anything."""
        found, is_there = _value(self.name, facts)
        if self.operator is FieldOperator.THERE or self.operator is FieldOperator.NOT_THERE:
            return is_there is (self.operator is FieldOperator.THERE)
        if not is_there:
            return self.operator is FieldOperator.UNEQUAL
        if self.operator is FieldOperator.CONTAINS:
            return self.value.lower() in _text(found).lower()
        return _compared(self.operator, *_both(self.name, found, self.value))


class LineOf(Protocol):
    """What a filter asks of a line besides what stands in it."""

    @property
    def at_ms(self) -> int:
        """When it was printed."""

    @property
    def function(self) -> str:
        """Who printed it."""

    @property
    def invocation_id(self) -> str:
        """In which invocation."""


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What all holds of a line that is wanted; several functions, and several statuses, add up.

    ``grep`` is text that a line contains, whatever its case. ``level`` is the least. ``root_id`` names a chain and
    ``statuses`` what became of attempts: only the ledger knows both.
    """

    functions: tuple[str, ...] = ()
    invocation_id: str | None = None
    root_id: str | None = None
    level: int | None = None
    statuses: tuple[str, ...] = ()
    grep: str | None = None
    where: tuple[FieldCondition, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def reads_text(self) -> bool:
        """Whether what stands in lines decides."""
        return bool(self.grep or self.where or self.level is not None)

    def wants_line(self, line: LineOf) -> bool:
        """Whether who printed a line, and when, is as wanted."""
        return (
            (not self.functions or line.function in self.functions)
            and (self.invocation_id is None or line.invocation_id == self.invocation_id)
            and (self.since_ms is None or line.at_ms >= self.since_ms)
            and (self.until_ms is None or line.at_ms <= self.until_ms)
        )

    def wants_text(self, text: str, facts: log_lines.LineFacts) -> bool:
        """Whether what stands in a line is as wanted."""
        return (
            (self.grep is None or self.grep.lower() in text.lower())
            and (self.level is None or (facts.level is not None and facts.level >= self.level))
            and all(condition.holds(facts) for condition in self.where)
        )


def condition(text: str) -> FieldCondition:
    """What a person wrote as a condition. Raises `errors.BadRequest`, which says what is wrong with it."""
    given = text.strip()
    if len(given) > MOST_TEXT:
        raise errors.BadRequest(f"a condition has more than {MOST_TEXT} characters", hint=_HINT)
    found = _CONDITION.fullmatch(given)
    if found is None:
        return _alone(given)
    name, operator = found["name"].strip(), FieldOperator(found["op"].replace("==", "="))
    value = _unquoted(found["value"].strip())
    if name == "level" and operator is not FieldOperator.CONTAINS and log_lines.level_of(f"[{value}]") is None:
        raise errors.BadRequest(f"{value!r} is no level", hint=f"levels are {', '.join(log_lines.LEVELS)}")
    if operator in _ORDERED and name != "level" and not value:
        raise errors.BadRequest(f"{given!r} names nothing to compare with", hint=_HINT)
    return FieldCondition(name, operator, value)


def conditions(texts: Sequence[str]) -> tuple[FieldCondition, ...]:
    """Several, all of which are to hold. Raises `errors.BadRequest`."""
    if len(texts) > MOST_CONDITIONS:
        raise errors.BadRequest(f"there are {len(texts)} conditions; {MOST_CONDITIONS} may be")
    return tuple(condition(text) for text in texts)


_ORDERED = {FieldOperator.ABOVE, FieldOperator.FROM, FieldOperator.BELOW, FieldOperator.TO}


def _alone(given: str) -> FieldCondition:
    """A name, or ``!`` and a name."""
    name = given.removeprefix("!").strip()
    if not name or any(character in "=<>!~" for character in name):
        raise errors.BadRequest(f"{given!r} is no condition", hint=_HINT)
    return FieldCondition(name, FieldOperator.NOT_THERE if given.startswith("!") else FieldOperator.THERE)


def _unquoted(value: str) -> str:
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value


def _value(name: str, facts: log_lines.LineFacts) -> tuple[log_lines.Scalar, bool]:
    if name == "level":  # known of lines that have no fields, too
        return facts.level, facts.level is not None
    found, is_there = facts.value(name)
    return (facts.message, True) if name == "message" and not is_there else (found, is_there)


def _both(name: str, found: log_lines.Scalar, value: str) -> tuple[float | str, float | str]:
    """Two numbers where both are, else two texts; a number and a text are neither equal nor in any order."""
    if name == "level" and isinstance(found, int):
        return found, log_lines.level_of(f"[{value}]") or 0
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found, (_number(value) if _NUMBER.fullmatch(value) else value)
    text = _text(found)
    if _NUMBER.fullmatch(value):
        return (_number(text) if _NUMBER.fullmatch(text) else text), _number(value)
    return text, value


def _number(text: str) -> float:
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _compared(operator: FieldOperator, found: float | str, value: float | str) -> bool:
    if operator is FieldOperator.EQUAL:
        return found == value
    if operator is FieldOperator.UNEQUAL:
        return found != value
    # A text is neither above nor below a number.
    if isinstance(found, str) != isinstance(value, str):
        return False
    below = found < value  # type: ignore[operator]
    if operator is FieldOperator.BELOW or operator is FieldOperator.FROM:
        return below is (operator is FieldOperator.BELOW)
    above = found > value  # type: ignore[operator]
    return above is (operator is FieldOperator.ABOVE)


def _text(value: log_lines.Scalar) -> str:
    """A scalar as JSON writes it, and a text as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
