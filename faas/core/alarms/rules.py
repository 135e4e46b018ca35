"""The rule of an alarm, `error_rate > 5% for 5m until 3%`: what may stand there, and reading it. Pure functions.

::

    FIGURE OPERATOR VALUE [over SPAN] [for SPAN] [until VALUE] [hold SPAN]

``over`` is the time whose attempts a figure is taken from, up to now. ``for`` is how long the condition must hold
before the alarm fires, ``until`` the value at which what fires counts as over (the first one by default), and ``hold``
how long it must stay over before the alarm has ended. The last four may stand in any order.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from faas.core import durations, errors, spelling
from faas.core.alarms import figures

MAX_LENGTH = 300
DEFAULT_OVER_MS = 60_000
DEFAULT_HOLD_MS = 60_000
EXAMPLE = "error_rate > 5% for 5m"
"""What is shown to whoever wrote no rule."""

_DAY_MS = durations.UNIT_MS["d"]
_SPANS = {"over": (60_000, _DAY_MS), "for": (0, _DAY_MS), "hold": (0, _DAY_MS)}
_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|min|h|d)")
_TOKEN = re.compile(r"[<>=!]+|[^\s<>=!]+")


class Comparison(enum.StrEnum):
    """How a figure is compared."""

    OVER = ">"
    AT_LEAST = ">="
    UNDER = "<"
    AT_MOST = "<="
    IS = "is"
    IS_NOT = "is not"

    @property
    def is_upward(self) -> bool:
        """Whether more is worse."""
        return self in (Comparison.OVER, Comparison.AT_LEAST)


_COMPARING = tuple(each for each in Comparison if each not in (Comparison.IS, Comparison.IS_NOT))
_COMPARED: Mapping[Comparison, Callable[[float, float], bool]] = {
    Comparison.OVER: lambda one, other: one > other,
    Comparison.AT_LEAST: lambda one, other: one >= other,
    Comparison.UNDER: lambda one, other: one < other,
    Comparison.AT_MOST: lambda one, other: one <= other,
}


class AlarmRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that was read. ``value`` and ``until`` are in the steps of the figure's unit, or words for facts."""

    figure: figures.Figure
    operator: Comparison
    value: int | str
    over_ms: int = DEFAULT_OVER_MS
    for_ms: int = 0
    until: int | str | None = None
    hold_ms: int = DEFAULT_HOLD_MS

    def is_met(self, found: float | str, *, fires: bool) -> bool:
        """Whether a figure is as the rule says; for an alarm that fires, whether it is so still."""
        limit = self.until if fires and self.until is not None else self.value
        if isinstance(found, str) or isinstance(limit, str):
            return (found == limit) is (self.operator is Comparison.IS)
        return _COMPARED[self.operator](found, limit)


class _Unclear(Exception):
    """A rule that cannot be read; holds what was expected in its place."""


def parse(text: str) -> AlarmRule:
    """Read a rule. Raises `errors.BadRequest`, whose message says what is allowed where it went wrong."""
    try:
        return _read(text)
    except _Unclear as error:
        raise errors.BadRequest(f"rule: found {text[:100]!r}, expected {error}", hint=f"such as {EXAMPLE}") from error


def fault(text: str) -> str:
    """What is expected in place of a rule that cannot be read; "" for one that can."""
    try:
        _read(text)
    except _Unclear as error:
        return str(error)
    return ""


def written(rule: AlarmRule) -> str:
    """The rule as a text that reads as the same one, with what is default left out."""
    parts = [rule.figure.name, rule.operator.value, rule.figure.unit.shown(rule.value)]
    if rule.over_ms != DEFAULT_OVER_MS:
        parts += ["over", durations.written(rule.over_ms)]
    if rule.for_ms:
        parts += ["for", durations.written(rule.for_ms)]
    if rule.until is not None:
        parts += ["until", rule.figure.unit.shown(rule.until)]
    if rule.hold_ms != DEFAULT_HOLD_MS:
        parts += ["hold", durations.written(rule.hold_ms)]
    return " ".join(parts)


def span_ms(text: str) -> int | None:
    """A span as it is written, in whole milliseconds; None for what is none."""
    found = _SPAN.fullmatch(text)
    ms = Decimal(found[1]) * durations.UNIT_MS[found[2]] if found else None
    return int(ms) if ms is not None and ms == int(ms) else None


def _read(text: str) -> AlarmRule:
    if len(text) > MAX_LENGTH:
        raise _Unclear(f"at most {MAX_LENGTH} characters")
    tokens = _TOKEN.findall(text)
    figure = _figure(tokens.pop(0) if tokens else "")
    operator = _operator(figure, tokens)
    value = _value(figure, operator.value, tokens)
    return _checked(AlarmRule(figure=figure, operator=operator, value=value, **_clauses(figure, tokens)))


def _figure(word: str) -> figures.Figure:
    found = figures.ALL.get(word)
    if found is None:
        hint = spelling.did_you_mean(word, figures.ALL)
        known = ", ".join(name for name in figures.ALL if not name.startswith(figures.FACT))
        raise _Unclear(f"a figure first: {known} or {figures.FACT}NAME{f'; {hint}' if hint else ''}")
    return found


def _operator(figure: figures.Figure, tokens: list[str]) -> Comparison:
    word = tokens.pop(0) if tokens else ""
    if figure.unit is figures.Unit.WORD:
        if word != "is":
            raise _Unclear(f"`{figure.name} is` or `{figure.name} is not`, and {figure.unit.expected}")
        if tokens and tokens[0] == "not":
            tokens.pop(0)
            return Comparison.IS_NOT
        return Comparison.IS
    found = next((each for each in _COMPARING if each.value == word), None)
    if found is None:
        raise _Unclear(f"one of {', '.join(_COMPARING)} behind {figure.name}")
    return found


def _value(figure: figures.Figure, behind: str, tokens: list[str]) -> int | str:
    word = tokens.pop(0) if tokens else ""
    found = figure.unit.read(word)
    if found is None:
        raise _Unclear(f"{figure.unit.expected} behind `{behind}`")
    return found


def _clauses(figure: figures.Figure, tokens: list[str]) -> dict[str, Any]:
    """What stands behind the condition, by the names of `AlarmRule`."""
    found: dict[str, Any] = {}
    while tokens:
        word = tokens.pop(0)
        name = word if word == "until" else f"{word}_ms"
        if name in found:
            raise _Unclear(f"`{word}` once")
        if word == "until":
            found[name] = _value(figure, word, tokens)
        elif word in _SPANS:
            found[name] = _span(word, tokens)
        else:
            raise _Unclear("only `over SPAN`, `for SPAN`, `until VALUE` and `hold SPAN` behind the condition")
    if "over_ms" in found and not figure.is_windowed:
        raise _Unclear(f"no `over`: {figure.name} is what it is at the moment")
    return found


def _span(word: str, tokens: list[str]) -> int:
    least_ms, most_ms = _SPANS[word]
    ms = span_ms(tokens.pop(0) if tokens else "")
    # Roll-ups are by the minute, so a part of one cannot be asked for.
    step_ms = 60_000 if word == "over" else 1_000
    if ms is None or not least_ms <= ms <= most_ms or ms % step_ms:
        steps = "whole minutes" if word == "over" else "whole seconds"
        least, most = durations.written(least_ms), durations.written(most_ms)
        raise _Unclear(f"a span from {least} to {most} in {steps} behind `{word}`, such as 5m")
    return ms


def _checked(rule: AlarmRule) -> AlarmRule:
    """What only several values together can say."""
    if rule.until is None:
        return rule
    if isinstance(rule.value, str) or isinstance(rule.until, str):
        raise _Unclear("no `until`: a fact is so or it is not")
    if (rule.until > rule.value) if rule.operator.is_upward else (rule.until < rule.value):
        side = "at most" if rule.operator.is_upward else "at least"
        raise _Unclear(f"`until` {side} {rule.figure.unit.shown(rule.value)}, the value at which it fires")
    return rule
