"""What `faas up` prints in the foreground: each attempt and each line that functions print, as they are recorded.

It asks the control API, as any client, from a thread of its own: a terminal that takes nothing holds up nobody. Of more
than a terminal can show it prints the newest, and says that there was more.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from faas.cli import client, endpoint, output, terminal
from faas.core import clock, errors

_EVERY_S = 0.5
_MOST = 50
"""Attempts, and lines, that are printed each time."""

_LATE_MS = 3_000
"""By how much an attempt may be recorded later than one that ended after it."""

Get = Callable[..., Any]


class Watcher:
    """Finds what is new since the last time. ``get`` asks the control API."""

    def __init__(self, get: Get, now_ms: int) -> None:
        self._get = get
        self._began_ms = self._since_ms = now_ms
        self._seen: dict[tuple[str, int], int] = {}
        self._after_id: int | None = None

    def news(self) -> list[str]:
        """The lines to print, in the order of their moments. Raises `errors.FaasError`."""
        if self._after_id is None:
            # From now on: what was printed before this platform started is not news.
            self._after_id = self._get("/api/v1/logs", tail=0)["next_id"]
            return []
        lines, records = self._lines(), self._records()
        shown = [(line["at_ms"], _line(line)) for line in lines]
        shown += [(each["ended_at_ms"], _attempt(each)) for each in records]
        more = ["  and more: see `faas logs` and `faas records`"] if max(len(lines), len(records)) >= _MOST else []
        return [text for _, text in sorted(shown, key=lambda each: each[0])] + more

    def _lines(self) -> Sequence[dict[str, Any]]:
        page: dict[str, Any] = self._get("/api/v1/logs", after_id=self._after_id, tail=_MOST)
        self._after_id = max(page["next_id"], self._after_id or 0)
        found: Sequence[dict[str, Any]] = page["lines"]
        return found

    def _records(self) -> list[dict[str, Any]]:
        since_ms = self._since_ms - _LATE_MS
        found = self._get("/api/v1/invocations", since_ms=max(since_ms, 0), limit=_MOST)["records"]
        new = [each for each in found if _key(each) not in self._seen and each["ended_at_ms"] >= self._began_ms]
        # What is older is not asked for again, so it need not be remembered.
        self._seen = {key: at_ms for key, at_ms in self._seen.items() if at_ms >= since_ms}
        self._seen |= {_key(each): each["ended_at_ms"] for each in new}
        self._since_ms = max([self._since_ms, *(each["ended_at_ms"] for each in new)])
        return new


def start(root: Path) -> None:
    """Watch the platform of a data directory until this process ends."""
    threading.Thread(target=_watch, args=(root,), name="watching", daemon=True).start()


def _watch(root: Path) -> None:
    pause = threading.Event()
    watcher: Watcher | None = None
    while not pause.wait(_EVERY_S):
        try:
            watcher = watcher or Watcher(client.Client(endpoint.find(root)).get, clock.now_ms())
            _write(watcher.news())
        except errors.FaasError:
            continue  # the control API is being started again, or the platform ends
        except OSError:
            return  # whoever read this has gone


def _write(lines: Iterable[str]) -> None:
    """Not by Python's own buffer: a thread that holds its lock as the process ends would break that."""
    left = "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


def _key(record: dict[str, Any]) -> tuple[str, int]:
    return record["invocation_id"], record["attempt"]


def _line(line: dict[str, Any]) -> str:
    text = terminal.shown(line["text"], sys.stdout)
    return f"{_moment(line['at_ms'])} {line['function']}@{line['revision']} | {text}"


def _attempt(record: dict[str, Any]) -> str:
    status, error = record["status"], record["error"]
    why = terminal.shown(f" {error['type']}: {error['message']}".splitlines()[0], sys.stdout) if error else ""
    coloured = click.style(status, fg="green" if status == "ok" else "red") if sys.stdout.isatty() else status
    cold = "" if record["cold_start_kind"] == "none" else f", {record['cold_start_kind']} start"
    where = f" {terminal.shown(record['object'], sys.stdout)}" if record["object"] else ""
    what = f"{record['function']}@{record['revision']} {record['trigger']}{where}"
    took = f"{output.duration(record['duration_ms'])}{cold} {output.short_id(record['invocation_id'])}"
    return f"{_moment(record['ended_at_ms'])} {what} {coloured} {took}{why}"


def _moment(at_ms: int) -> str:
    return output.moment(at_ms).partition(" ")[2]
