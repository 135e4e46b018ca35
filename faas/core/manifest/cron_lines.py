"""Whether a cron line comes due as whoever wrote it thinks, or is another scheduler's; pure functions.

Lines have five fields (minute, hour, day of the month, month, day of the week), or six that begin with seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import cronsim

from faas.core.manifest import foreign_units

EXPECTED = "a cron line of 5 fields (minute hour day month weekday), or 6 with seconds first"

_FIELDS = (
    ("second", 0, 59), ("minute", 0, 59), ("hour", 0, 23), ("day-of-month", 1, 31), ("month", 1, 12),
    ("day-of-week", 0, 7),
)  # fmt: skip
_MACROS = {
    "yearly": "0 0 1 1 *", "annually": "0 0 1 1 *", "monthly": "0 0 1 * *", "weekly": "0 0 * * 0",
    "daily": "0 0 * * *", "midnight": "0 0 * * *", "hourly": "0 * * * *",
}  # fmt: skip
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NAMES = {"month": _MONTHS, "day-of-week": _DAYS}


def fault(line: str) -> str:
    """What is expected in place of a cron line, and why; "" when it is good."""
    why = _foreign(line) or next(_wrong_fields(line), "") or _never_due(line)
    return f"{EXPECTED}: {why}" if why else ""


def _foreign(line: str) -> str:
    """What other schedulers understand, with how it is written here."""
    text = line.strip()
    if found := re.fullmatch(r"@every\s+(.+)|rate\((.+)\)", text, re.IGNORECASE):
        return f"a period stands under `every`, like every: 5m, not {found[1] or found[2]!r} under `cron`"
    # systemd has the words without the sign.
    if (word := text.removeprefix("@").lower()) in _MACROS:
        return f"write {_quoted(_MACROS[word])}"
    if re.fullmatch(r"@[a-z]+", text, re.IGNORECASE):
        return f"{text} is none"
    if found := re.fullmatch(r"cron\((.*)\)", text, re.IGNORECASE):
        fields = found[1].split()
        return "no cron(…) around it" + (_with_days_from_one(fields[:-1], fields[-1]) if len(fields) == 6 else "")
    if found := re.match(r"(?:CRON_)?TZ=(\S+)\s+", text):
        return f"the zone stands beside it, as timezone: {found[1]}"
    if re.search(r"\.\.|\d:\d|\*-", text):
        return "this is a calendar event of systemd"
    if re.search(r"(?:^|\s)H(?:[/(]\S*)?(?=\s|$)", text):
        return "H is Jenkins's; write a number"
    if "?" in text:
        return f"? is Quartz's{_from_quartz(text.split())}"
    if re.search(r"(?:^|[\s,])(?:\d+W|L-\d+)(?=[\s,]|$)", text, re.IGNORECASE):
        return "a working day near another (15W) and a day before the last (L-3) are Quartz's"
    if "~" in text:
        return "~ is no range here; write a number"
    instead = foreign_units.duration(text) if len(text.split()) not in (5, 6) else ""
    return f"a period stands under `every`, like every: {instead.removeprefix('write ')}" if instead else ""


def _from_quartz(fields: list[str]) -> str:
    # Without seconds it is another's who takes the sign for a star, and counts the days as here.
    return _advice(fields) if len(fields) < 6 else _with_days_from_one(fields[:6], *fields[6:])


def _with_days_from_one(fields: list[str], year: str = "*") -> str:
    """What to write for a line whose days of the week begin with 1 for Sunday, as AWS and Quartz have it."""
    shifted = re.sub(r"(?<![#/\w])([1-7])(L?)(?!\w)", _day_from_one, fields[-1])
    return _advice([*fields[:-1], shifted]) + ("" if year in ("*", "?") else " (there is no field for the year)")


def _day_from_one(found: re.Match[str]) -> str:
    # The last Friday is 5L, and has no name.
    return f"{int(found[1]) - 1}L" if found[2] else _DAYS[int(found[1]) - 1]


def _advice(fields: list[str]) -> str:
    """The line to write in place of another; none when that would be as wrong."""
    line = " ".join(fields).replace("?", "*")
    return "" if fault(line) else f"; write {_quoted(line)}"


def _wrong_fields(line: str) -> Iterator[str]:
    fields = line.split()
    if len(fields) not in (5, 6):
        yield f"wrong number of fields, {len(fields)}" + (" (a year is none)" if len(fields) == 7 else "")
        return
    # Without seconds the names begin at the second one.
    for field, (name, first, last) in zip(fields, _FIELDS[-len(fields) :], strict=True):
        for item in field.split(","):
            yield from _wrong_step(item, name, first, last)
            yield from _wrong_range(item, name, first, last)


def _wrong_step(item: str, name: str, first: int, last: int) -> Iterator[str]:
    """A step past the end of what it steps through is taken by no scheduler as it looks: only the first is left."""
    found = re.fullmatch(r"(\*|\d+(?:-\d+)?|[A-Za-z]{3}(?:-[A-Za-z]{3})?)/(\d+)", item)
    if found is None:
        return
    begin, _, end = found[1].partition("-")
    if begin.isdigit():
        first, last = int(begin), int(end) if end else last
    elif begin != "*":
        return
    # Sunday is both 0 and 7.
    steps = last - first + (0 if (first, last) == (0, 7) else 1)
    if int(found[2]) >= max(steps, 2):
        instead = f"; for a longer period write every: {_period(int(found[2]), name)}" if begin == "*" else ""
        yield f"bad {name}: {item!r} would be {begin if begin != '*' else first} only, a step is below {steps}{instead}"


def _period(step: int, name: str) -> str:
    unit = {"second": "s", "minute": "m", "hour": "h"}.get(name, "d")
    days = {"month": 30, "day-of-week": 1}.get(name, 1)
    return f"{step * days}{unit}"


def _wrong_range(item: str, name: str, first: int, last: int) -> Iterator[str]:
    found = re.match(r"([A-Za-z]{4,})", item)
    if found and found[1][:3].upper() in _NAMES.get(name, ()):
        yield f"bad {name}: {found[1]!r} has three letters, {found[1][:3].upper()}"
    found = re.fullmatch(r"(\w{1,3})-(\w{1,3})", item)
    if found and (instead := _around(found[1], found[2], _NAMES.get(name, ()), first, 6 if last == 7 else last)):
        yield f"bad {name}: {item!r} ends before it begins, write {instead}"


def _around(begin: str, end: str, names: tuple[str, ...], first: int, last: int) -> str:
    """What a range is that goes on at the other end of its field; "" for any other."""
    if begin.upper() in names and end.upper() in names:
        at, until = names.index(begin.upper()), names.index(end.upper())
        return ",".join([*names[at:], *names[: until + 1]]) if until < at else ""
    if not (begin.isdecimal() and end.isdecimal() and first <= int(end) < int(begin) <= last):
        return ""
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ((int(begin), last), (first, int(end))))


def _never_due(line: str) -> str:
    try:
        # To be read is not enough: the 31st of February can be read.
        next(cronsim.CronSim(line, datetime.now(UTC)))
    # The parser checks some of what it is given by `assert`.
    except (cronsim.CronSimError, AssertionError) as error:
        return _told(str(error), line.split())
    except StopIteration:
        return "one that comes due some day"
    return ""


def _told(reason: str, fields: list[str]) -> str:
    """The field that is wrong, with what it may hold; the parser says no more than its name."""
    for field, (name, first, last) in zip(fields, _FIELDS[-len(fields) :], strict=True):
        if name in reason.lower():
            is_day = name == "day-of-month" and all(
                each.isdecimal() and 1 <= int(each) <= 31 for each in field.split(",")
            )
            return f"bad {name}: {field!r}" + (
                " comes in no such month" if is_day else f" is not from {first} to {last}"
            )
    return "it cannot be read"


def _quoted(line: str) -> str:
    return f'"{line}"'
