"""Whether a cron line comes due as whoever wrote it thinks, or is another scheduler's; pure functions.

Lines have five fields (minute, hour, day of the month, month, day of the week), or six that begin with seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import cronsim

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


def fault(line: str) -> str:
    """What is expected in place of a cron line, and why; "" when it is good."""
    why = _foreign(line) or next(_wrong_fields(line), "") or _never_due(line)
    return f"{EXPECTED}: {why}" if why else ""


def _foreign(line: str) -> str:
    """What other schedulers understand, with how it is written here."""
    text = line.strip()
    if found := re.fullmatch(r"@every\s+(.+)|rate\((.+)\)", text, re.IGNORECASE):
        return f"a period stands under `every`, like every: 5m, not {found[1] or found[2]!r} under `cron`"
    if found := re.fullmatch(r"@([a-z]+)", text, re.IGNORECASE):
        return f"write {_quoted(_MACROS[found[1].lower()])}" if found[1].lower() in _MACROS else f"{text} is none"
    if found := re.fullmatch(r"cron\((.*)\)", text, re.IGNORECASE):
        return f"write {_quoted(_from_aws(found[1]))}" if len(found[1].split()) == 6 else "no cron(…) around it"
    if found := re.match(r"(?:CRON_)?TZ=(\S+)\s+", text):
        return f"the zone stands beside it, as timezone: {found[1]}"
    if re.search(r"\.\.|\d:\d|\*-", text):
        return "this is a calendar event of systemd"
    if re.search(r"(?:^|\s)H(?:[/(]\S*)?(?=\s|$)", text):
        return "H is Jenkins's; write a number"
    if "?" in text:
        return f"? is Quartz's; write {_quoted(text.replace('?', '*'))}"
    if "~" in text:
        return "~ is no range here; write a number"
    return ""


def _from_aws(inner: str) -> str:
    """AWS has a year behind, and counts the days of the week from 1."""
    *others, weekday, _year = inner.replace("?", "*").split()
    named = re.sub(r"(?<![#/\d])[1-7](?!\d)", lambda day: _DAYS[int(day[0]) - 1], weekday)
    return " ".join([*others, named])


def _wrong_fields(line: str) -> Iterator[str]:
    fields = line.split()
    if len(fields) not in (5, 6):
        yield f"wrong number of fields, {len(fields)}" + (" (a year is none)" if len(fields) == 7 else "")
        return
    # Without seconds the names begin at the second one.
    for field, (name, first, last) in zip(fields, _FIELDS[-len(fields) :], strict=True):
        for item in field.split(","):
            yield from _wrong_step(item, name, first, last)
            yield from _wrong_range(item, name)


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


def _wrong_range(item: str, name: str) -> Iterator[str]:
    found = re.match(r"([A-Za-z]{4,})", item)
    if found and name in ("month", "day-of-week"):
        yield f"bad {name}: {found[1]!r} has three letters, {found[1][:3].upper()}"
    found = re.fullmatch(r"([A-Za-z]{3})-([A-Za-z]{3})", item)
    days = [day.upper() for day in found.groups()] if found else []
    if name == "day-of-week" and days and all(day in _DAYS for day in days) and _around(*days):
        yield f"bad {name}: {item!r} ends before it begins, write {','.join(_around(*days))}"


def _around(first: str, last: str) -> list[str]:
    begin, end = _DAYS.index(first), _DAYS.index(last)
    return [*_DAYS[begin:], *_DAYS[: end + 1]] if end < begin else []


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
