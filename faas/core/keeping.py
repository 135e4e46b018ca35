"""For how long what has ended is kept: what the settings say, and the rules that people set while the platform runs.

The most particular wins::

    a rule of the function  >  its manifest  >  a rule for all functions  >  flags, environment, faas.toml, defaults
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from faas.core import durations, errors, groups

DAY_MS = 86_400_000
LEAST_MS = 3_600_000
"""An hour: the job that removes looks every ten minutes, and what is kept for less might go before it is seen."""

MOST_MS = 36_500 * DAY_MS
ALL = ""
"""The function of a rule that is for all of them."""


class KeepKind(enum.StrEnum):
    """What a rule can be about. Undelivered records go with dead letters."""

    LOGS = "logs"
    RECORDS = "records"
    DEAD_LETTERS = "dead_letters"
    REVISIONS = "revisions"
    MINUTES = "minutes"
    HOURS = "hours"


OF_ALL_ONLY = frozenset((KeepKind.MINUTES, KeepKind.HOURS))
"""Figures of all functions are in one table whose days go whole."""

_SETTING = {
    KeepKind.LOGS: "keep_logs_days",
    KeepKind.RECORDS: "keep_records_days",
    KeepKind.DEAD_LETTERS: "keep_dead_letters_days",
    KeepKind.REVISIONS: "keep_revisions_days",
    KeepKind.MINUTES: "keep_minutes_days",
    KeepKind.HOURS: "keep_hours_days",
}


class RuleOrigin(enum.StrEnum):
    """Where a rule comes from: somebody set it while the platform ran, or the function's manifest says it."""

    SET = "set"
    MANIFEST = "manifest"


class KeepRule(msgspec.Struct, frozen=True):
    """How long (ms, 0 is for ever), for one function or for `ALL`."""

    kind: KeepKind
    function: str
    keep_ms: int
    set_at_ms: int = 0
    origin: RuleOrigin = RuleOrigin.SET


class Term(msgspec.Struct, frozen=True):
    """For how long something is kept (ms, 0 is for ever), and who says so.

    ``origin`` is ``function`` or ``all`` where somebody set it while the platform ran, else ``manifest`` or
    ``settings``.
    """

    keep_ms: int
    origin: str

    def cut_ms(self, now_ms: int) -> int | None:
        """The moment before which things are past their time; None when they are kept for ever."""
        return now_ms - self.keep_ms if self.keep_ms else None


class Terms:
    """The rules over the settings."""

    def __init__(self, retention: groups.Retention, rules: Iterable[KeepRule] = ()) -> None:
        self._retention = retention
        # What was set comes last, so that it takes the place of what a manifest says of the same.
        last = sorted(rules, key=lambda rule: rule.origin is RuleOrigin.SET)
        self._rules = {(rule.kind, rule.function): rule for rule in last}

    def of_all(self, kind: KeepKind) -> Term:
        """For functions that have no rule of their own."""
        rule = self._rules.get((kind, ALL))
        if rule is not None:
            return Term(rule.keep_ms, "all")
        return Term(getattr(self._retention, _SETTING[kind]) * DAY_MS, "settings")

    def of_function(self, kind: KeepKind, function: str) -> Term:
        """For one function."""
        rule = self._rules.get((kind, function)) if function != ALL else None
        return self.of_all(kind) if rule is None else _own(rule)

    def own(self, kind: KeepKind) -> Mapping[str, Term]:
        """The functions that have a rule of their own."""
        return {
            rule.function: _own(rule) for rule in self._rules.values() if rule.kind is kind and rule.function != ALL
        }

    def longest_ms(self, kind: KeepKind) -> int:
        """The longest time of any function, 0 when one is kept for ever."""
        times = [self.of_all(kind).keep_ms, *(term.keep_ms for term in self.own(kind).values())]
        return 0 if 0 in times else max(times)


def _own(rule: KeepRule) -> Term:
    return Term(rule.keep_ms, "function" if rule.origin is RuleOrigin.SET else "manifest")


def setting(kind: KeepKind) -> str:
    """The setting that counts where no rule is."""
    return _SETTING[kind]


def checked(kind: KeepKind, function: str, keep_ms: int) -> None:
    """Raise `errors.BadRequest` for a rule that cannot be."""
    if function != ALL and kind in OF_ALL_ONLY:
        raise errors.BadRequest(f"{kind}: figures are kept for all functions alike", hint="leave the function out")
    least = DAY_MS if kind in OF_ALL_ONLY else LEAST_MS
    if keep_ms and not least <= keep_ms <= MOST_MS:
        raise errors.BadRequest(
            f"{kind}: found {durations.written(keep_ms)}, expected {durations.written(least)} to"
            f" {durations.written(MOST_MS)}, or for ever (0; at the command line `ever`)"
        )


def named(terms: Terms, function: str = ALL) -> Sequence[tuple[KeepKind, Term]]:
    """Every kind with its term, of one function or for all."""
    return [(kind, terms.of_function(kind, function)) for kind in KeepKind]
