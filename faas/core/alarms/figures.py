"""The figures that an alarm may be on, and the units in which rules write them. Pure functions."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from faas.core import durations

FACT = "doctor."
"""What the name of a figure begins with that is a fact of `faas doctor`."""

FACTS = (
    "redis", "durability", "clock", "bounds", "queues", "disk", "conservation", "nodes", "memory", "objects", "ledger",
    "processes", "docker", "sandboxes", "buckets", "journals", "budgets",
)  # fmt: skip
"""The facts of `faas doctor` that an alarm may be on. ``processes`` is the worst of all ``process NAME``."""

STATES = ("ok", "warning", "failed", "unknown")
"""What a fact may be."""

_PPM = 1_000_000
_PICO = 10**12
_NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,12})?)"
_DURATION = re.compile(rf"{_NUMBER}(us|ms|s|m|min|h)")
_UNIT_US = {"us": 1, **{unit: ms * 1_000 for unit, ms in durations.UNIT_MS.items()}}
_LARGEST = 10**18 - 1


class Unit(enum.Enum):
    """In what a figure is written. Values are whole numbers of steps; the name says of which."""

    COUNT = "a whole number such as 100"
    PPM = "a share from 0% to 100%, such as 5%"
    US = "a duration such as 800ms or 2s"
    PICO = "an amount of the currency such as 0.50"
    WORD = f"one of {', '.join(STATES)}"

    @property
    def expected(self) -> str:
        """What is written, in words."""
        return self.value

    def read(self, text: str) -> int | str | None:
        """A value that was written; None for what is none."""
        if self is Unit.WORD:
            return text if text in STATES else None
        steps = _steps(self, text)
        # What is finer than a step cannot be meant, and would be another value than was written.
        return int(steps) if steps is not None and steps == int(steps) and steps <= _LARGEST else None

    def told(self, value: float | str) -> str:
        """A value that was measured, as people read it: rounded to what can be told apart."""
        if isinstance(value, str):
            return value
        if self is Unit.PICO:
            return f"{Decimal(value) / _PICO:.6f}"
        return self.shown(round(value, -2) if self is Unit.PPM else round(value))

    def shown(self, value: float | str) -> str:
        """A value of a rule as it is written."""
        if isinstance(value, str):
            return value
        if self is Unit.PPM:
            return f"{_plain(Decimal(value) / 10_000, 4)}%"
        if self is Unit.US:
            return _duration(value)
        return _plain(Decimal(value) / _PICO, 12) if self is Unit.PICO else _plain(Decimal(value), 0)


class Figure(msgspec.Struct, frozen=True):
    """One figure. ``is_windowed`` says that it is taken from a while, ``is_of_functions`` that functions have one."""

    name: str
    unit: Unit
    meaning: str
    is_windowed: bool = False
    is_of_functions: bool = True


def _table() -> Mapping[str, Figure]:
    found = [
        Figure("count", Unit.COUNT, "Attempts that ended.", True),
        Figure("errors", Unit.COUNT, "Attempts that did not end well.", True),
        Figure("error_rate", Unit.PPM, "The share of these among all.", True),
        *(
            Figure(name, Unit.US, f"The duration that {share} of the attempts stayed within.", True)
            for name, share in (("p50", "50%"), ("p90", "90%"), ("p99", "99%"), ("p999", "99.9%"))
        ),
        Figure("cold_share", Unit.PPM, "The share of attempts that started cold.", True),
        Figure("cost_per_hour", Unit.PICO, "What an hour costs at the pace of that while.", True),
        Figure("dead_letters", Unit.COUNT, "Invocations that failed for good.", True),
        Figure("queue_age", Unit.US, "For how long the oldest invocation that waits has been waiting."),
        Figure("waiting", Unit.COUNT, "Invocations that wait in queues."),
        Figure("drift", Unit.COUNT, "Invocations in no place, or in two; always 0."),
        Figure("disk", Unit.PPM, "How much of the disk of the data directory is taken.", is_of_functions=False),
        *(Figure(f"{FACT}{name}", Unit.WORD, f"The fact `{name}`.", is_of_functions=False) for name in FACTS),
    ]
    return {figure.name: figure for figure in found}


def _steps(unit: Unit, text: str) -> Decimal | None:
    if unit is Unit.US:
        found = _DURATION.fullmatch(text)
        return Decimal(found[1]) * _UNIT_US[found[2]] if found else None
    pattern, step = {
        Unit.COUNT: (_NUMBER, 1), Unit.PPM: (f"{_NUMBER}%", _PPM // 100), Unit.PICO: (_NUMBER, _PICO),
    }[unit]  # fmt: skip
    found = re.fullmatch(pattern, text)
    steps = Decimal(found[1]) * step if found else None
    return None if unit is Unit.PPM and steps is not None and steps > _PPM else steps


def _duration(us: float) -> str:
    """In the largest unit in which it is at least one, to three digits behind the point.

    What is whole is exact, in a smaller unit where it must be: rules are read again as they are shown.
    """
    fitting = [unit for unit in ("h", "m", "s", "ms", "us") if us >= _UNIT_US[unit]] or ["us"]
    exact = (unit for unit in fitting if us * 1000 % _UNIT_US[unit] == 0)
    unit = next(exact, fitting[0]) if us == int(us) else fitting[0]
    return f"{_plain(Decimal(us) / _UNIT_US[unit], 3)}{unit}"


def _plain(value: Decimal, digits: int) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


ALL: Mapping[str, Figure] = _table()
"""Every figure by its name."""
