"""`faas logs --platform`: what the platform's own processes say, merged by time, from the files of this machine."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from faas.cli import log_files, options, output
from faas.core import errors
from faas.core.logs import log_lines

_LOOK_EVERY_S = 0.1
_MOST = 1 << 62


def wanted(functions: Sequence[str], processes: Sequence[str], asked: Mapping[str, Any]) -> log_files.PlatformFilter:
    """What the command line asked for."""
    level = asked["level"]
    return log_files.PlatformFilter(
        processes=tuple(processes),
        functions=tuple(functions),
        invocation=asked["invocation"],
        level=log_lines.LEVELS[level] if level else 0,
        grep=asked["grep"],
        since_ms=asked["since_ms"] or 0,
        until_ms=asked["until_ms"],
    )


def show(filter: log_files.PlatformFilter, *, tail: int, follow: bool, raw: bool, as_json: bool) -> None:
    """Print the last lines, and with ``follow`` those that come. Raises `errors.NotFound` where there are no logs."""
    root = options.settings().data.root
    logs = _chosen(root, filter)
    followers = {name: log_files.LogFollower(name, path) for name, path in logs.items()}
    most = _MOST if tail < 0 else tail
    found = (log_files.last(name, path, filter, most) for name, path in logs.items())
    merged = sorted((line for some in found for line in some), key=lambda line: line.at_ms)
    lines = merged[-most:] if most else []
    if as_json and not follow:
        output.emit([_plain(line) for line in lines])
        return
    for line in (*lines, *(_come(root, filter, followers) if follow else ())):
        _print(line, raw=raw, as_json=as_json)


def _chosen(root: Path, filter: log_files.PlatformFilter) -> dict[str, Path]:
    known = log_files.files(root)
    if not known:
        raise errors.NotFound(f"there are no logs in {root}", hint="has a platform run there? see --data-dir")
    chosen = {name: path for name, path in known.items() if filter.wants_of(name)}
    if not chosen:
        raise errors.NotFound(
            f"no process is called {', '.join(filter.processes)}", hint=f"there are {', '.join(sorted(known))}"
        )
    return chosen


def _come(
    root: Path, filter: log_files.PlatformFilter, followers: dict[str, log_files.LogFollower]
) -> Iterator[log_files.PlatformLine]:
    while True:
        for name, path in log_files.files(root).items():
            if name not in followers and filter.wants_of(name):
                followers[name] = log_files.LogFollower(name, path, from_start=True)
        new = [line for follower in followers.values() for line in follower.read() if filter.wants(line)]
        yield from sorted(new, key=lambda line: line.at_ms)
        time.sleep(_LOOK_EVERY_S)


def _print(line: log_files.PlatformLine, *, raw: bool, as_json: bool) -> None:
    if as_json:
        output.line_of_json(msgspec.json.encode(_plain(line)).decode())
    else:
        output.line(_text(line), raw=raw)


def _plain(line: log_files.PlatformLine) -> dict[str, Any]:
    told = msgspec.to_builtins(line)
    return {name: value for name, value in told.items() if name != "raw"}


def _text(line: log_files.PlatformLine) -> str:
    moment = datetime.datetime.fromtimestamp(line.at_ms / 1000).astimezone()
    at = f"{moment:%Y-%m-%d %H:%M:%S}.{line.at_ms % 1000:03d}"
    trace = str(line.fields.get("trace", ""))
    fields = _told((name, value) for name, value in line.fields.items() if name != "trace")
    head = " ".join(filter(None, (at, line.process, (line.level or "").upper(), line.action, *fields)))
    return f"{head}\n{trace}" if trace else head


def _told(fields: Iterable[tuple[str, object]]) -> Iterator[str]:
    for name, value in fields:
        text = str(value)
        is_plain = text.isprintable() and text and " " not in text
        yield f"{name}={text if is_plain else msgspec.json.encode(text).decode()}"
