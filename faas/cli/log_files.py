"""The files that the platform's processes write their logs to, read as lines with a moment, a level and fields.

A line is JSON (`faas.cli.log_format`), or as it was written before, on a terminal, or by the server of Redis. What is
none of these goes on from the line above it, as a traceback does.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from faas.core.logs import log_lines
from faas.core.values import unreadable

_BLOCK_BYTES = 256 * 1024
_EVENT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)", re.DOTALL)
_REDIS = re.compile(r"\d+:[A-Z] (\d\d \w{3} \d{4} \d\d:\d\d:\d\d)\.(\d{3}) ([.*#-]) (.*)", re.DOTALL)
_REDIS_LEVELS = {".": "debug", "-": "debug", "*": "info", "#": "warning"}
_FIRST = ("time", "level", "logger", "action")
_decode = msgspec.json.Decoder(dict[str, object]).decode


class PlatformLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event of one process. ``raw`` is the line as it stands in the file."""

    at_ms: int
    process: str
    level: str | None
    action: str
    fields: dict[str, object] = {}
    raw: str = ""

    def is_of(self, invocation: str) -> bool:
        """Whether it names an invocation whose id begins so."""
        ids = (self.fields.get(name) for name in ("invocation_id", "parent_id", "root_id"))
        return any(str(each).startswith(invocation) for each in ids if each) or f"={invocation}" in self.raw

    def is_about(self, function: str) -> bool:
        """Whether it names a function, or a revision of it."""
        told = (self.fields.get(name) for name in ("function", "revision"))
        return any(str(each).partition("@")[0] == function for each in told if each)


class PlatformFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which of these lines somebody wants."""

    processes: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    invocation: str | None = None
    level: int = 0
    grep: str | None = None
    since_ms: int = 0
    until_ms: int | None = None

    def wants(self, line: PlatformLine) -> bool:
        """Whether a line is as wanted."""
        return (
            line.at_ms >= self.since_ms
            and (self.until_ms is None or line.at_ms <= self.until_ms)
            and log_lines.LEVELS.get(line.level or "", 0) >= self.level
            and (self.grep is None or self.grep.lower() in line.raw.lower())
            and (self.invocation is None or line.is_of(self.invocation))
            and (not self.functions or any(map(line.is_about, self.functions)))
        )

    def wants_of(self, process: str) -> bool:
        """Whether lines of a process are wanted; ``node`` names ``node-2`` as well."""
        return not self.processes or any(process == name or process.startswith(f"{name}-") for name in self.processes)


def files(root: Path) -> dict[str, Path]:
    """The log of each process of a data directory, by the name of the process."""
    found = [*sorted((root / "logs").glob("*.log")), *sorted((root / "redis").glob("*.log"))]
    return {path.stem: path for path in found}


def aside(log: Path) -> Path:
    """What was in a log before it was set aside."""
    return log.with_name(f"{log.name}.1")


def read(process: str, texts: Iterable[str], before: PlatformLine | None = None) -> Iterator[PlatformLine]:
    """Lines of a file as events. What goes on from a line is added to it."""
    held = before
    for text in texts:
        line = _parsed(process, text)
        if line is not None:
            if held is not None and held is not before:
                yield held
            held = line
        elif held is not None and held is not before:
            held = msgspec.structs.replace(held, action=f"{held.action}\n{text}", raw=f"{held.raw}\n{text}")
        elif text:
            held = PlatformLine(at_ms=before.at_ms if before else 0, process=process, level=None, action=text, raw=text)
    if held is not None and held is not before:
        yield held


def last(process: str, log: Path, wanted: PlatformFilter, most: int) -> list[PlatformLine]:
    """The last lines of a process that are wanted, in order. Files are read from their end, no further than need be."""
    found: list[PlatformLine] = []
    # The newer file first, and the one that was set aside only when that has too few.
    for path in (log, aside(log)):
        rest = b""
        for block, is_first in _blocks_from_end(path):
            data = block + rest
            # The beginning of a line, and what goes on from the line above, belong to the block before this one.
            at = 0 if is_first else _first_event(process, data)
            rest, data = data[:at], data[at:]
            lines = list(read(process, data.decode(errors="replace").splitlines()))
            found = [line for line in lines if wanted.wants(line)] + found
            if len(found) >= most or (lines and lines[0].at_ms < wanted.since_ms):
                return found[-most:]
    return found[-most:] if most else []


def _first_event(process: str, data: bytes) -> int:
    """Where the first line begins that is an event; the end when none does."""
    at = data.find(b"\n") + 1
    while at:
        end = data.find(b"\n", at)
        if _parsed(process, data[at : end if end >= 0 else len(data)].decode(errors="replace")) is not None:
            return at
        at = end + 1
    return len(data)


def _blocks_from_end(path: Path) -> Iterator[tuple[bytes, bool]]:
    """A file in blocks, the last one first, each with whether it is the first of the file."""
    try:
        with path.open("rb") as file:
            at = file.seek(0, 2)
            while at > 0:
                begin = max(0, at - _BLOCK_BYTES)
                file.seek(begin)
                yield file.read(at - begin), begin == 0
                at = begin
    except FileNotFoundError:
        return


def _parsed(process: str, text: str) -> PlatformLine | None:
    if text.startswith("{"):
        return _of_json(process, text)
    if found := _EVENT.match(text):
        at_ms = int(datetime.datetime.fromisoformat(found[1]).timestamp() * 1000) + int(found[2])
        return PlatformLine(at_ms=at_ms, process=process, level=found[3].lower(), action=found[4], raw=text)
    if found := _REDIS.match(text):
        moment = datetime.datetime.strptime(found[1], "%d %b %Y %H:%M:%S").astimezone()
        at_ms = int(moment.timestamp() * 1000) + int(found[2])
        return PlatformLine(at_ms=at_ms, process=process, level=_REDIS_LEVELS[found[3]], action=found[4], raw=text)
    return None


def _of_json(process: str, text: str) -> PlatformLine | None:
    try:
        held = _decode(text)
        at_ms = int(datetime.datetime.fromisoformat(str(held["time"])).timestamp() * 1000)
    except (*unreadable.ERRORS, KeyError):
        return None
    return PlatformLine(
        at_ms=at_ms,
        process=process,
        level=str(held.get("level", "")) or None,
        action=str(held.get("action", "")),
        fields={name: value for name, value in held.items() if name not in _FIRST},
        raw=text,
    )


class LogFollower:
    """What is added to the log of one process from now on. A log that is set aside is read to its end."""

    def __init__(self, process: str, log: Path, *, from_start: bool = False) -> None:
        self._process = process
        self._log = log
        self._at = 0 if from_start else _size(log)
        self._part = b""

    def read(self) -> list[PlatformLine]:
        """The whole lines that have come since the last time."""
        data = self._part
        # Shorter than what was read: it was set aside, so its rest is in the other file.
        if _size(self._log) < self._at:
            data += _from(aside(self._log), self._at)
            self._at = 0
        new = _from(self._log, self._at)
        self._at += len(new)
        whole, end, self._part = (data + new).rpartition(b"\n")
        return list(read(self._process, (whole + end).decode(errors="replace").splitlines())) if end else []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _from(path: Path, at: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return file.read()
    except FileNotFoundError:
        return b""
