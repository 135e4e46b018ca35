"""Patterns of names as `.gitignore` writes them, over paths with slashes; no I/O.

``*`` and ``?`` stand for what holds no slash, ``**`` for any folders, ``[a-z]`` for one character of these. A pattern
without a slash (but at its end) is one of names at any depth; with one it begins at the top. A slash at its end means
folders alone. ``!`` takes back what an earlier pattern took: the last that fits decides.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Pattern(NamedTuple):
    """One pattern: as it was written, what it fits, and whether it takes back."""

    text: str
    regex: re.Pattern[str]
    takes_back: bool
    folders_only: bool

    def fits(self, path: str, *, is_folder: bool) -> bool:
        """Whether it is a pattern of this path."""
        return (is_folder or not self.folders_only) and self.regex.fullmatch(path) is not None


def lines(text: str) -> list[Pattern]:
    """The patterns of a file: one a line, without comments and empty lines."""
    found = []
    for line in text.splitlines():
        # A space at the end counts where a backslash stands before it.
        line = line if line.endswith("\\ ") else line.rstrip()
        if line and not line.startswith("#") and (made := pattern(line)) is not None:
            found.append(made)
    return found


def pattern(text: str, *, any_case: bool = False) -> Pattern | None:
    """The pattern that is written so; None for what can fit nothing."""
    takes_back = text.startswith("!")
    body = text[1:] if takes_back else text
    folders_only = body.endswith("/")
    body = body.rstrip("/") if folders_only else body
    anchored = "/" in body
    body = body.removeprefix("/")
    if not body:
        return None
    # A pattern without a slash is one of names, at any depth.
    start = "" if anchored else "(?:.*/)?"
    try:
        regex = re.compile(start + _translated(body), re.DOTALL | (re.IGNORECASE if any_case else 0))
    except re.error:
        return None
    return Pattern(text, regex, takes_back, folders_only)


def deciding(patterns: Sequence[Pattern], path: str, *, is_folder: bool) -> Pattern | None:
    """The last pattern that fits a path: what it says holds."""
    return next((each for each in reversed(patterns) if each.fits(path, is_folder=is_folder)), None)


class Matched:
    """Whether patterns take a path or one of the folders that it lies in; for many paths."""

    def __init__(self, patterns: Iterable[str], *, any_case: bool = False) -> None:
        self._runs: list[tuple[bool, re.Pattern[str]]] = []
        run: list[str] = []
        last = False
        flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
        for each in filter(None, (pattern(text) for text in patterns)):
            if run and each.takes_back is not last:
                self._runs.append((last, re.compile("|".join(run), flags)))
                run = []
            last = each.takes_back
            # What lies below a folder that fits is taken with it.
            run.append(f"(?:{each.regex.pattern})(?:/.+){'' if each.folders_only else '?'}")
        if run:
            self._runs.append((last, re.compile("|".join(run), flags)))

    def takes(self, path: str) -> bool:
        """Whether the path is taken."""
        taken = False
        for takes_back, regex in self._runs:
            # The last that fits decides, so a run that could not change the answer is not asked.
            if taken is takes_back and regex.fullmatch(path) is not None:
                taken = not takes_back
        return taken


@functools.cache
def taken(patterns: tuple[str, ...]) -> Matched:
    """`Matched` of patterns that are asked for often, whatever the case of letters."""
    return Matched(patterns, any_case=True)


def _translated(body: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(body):
        if body.startswith("**/", at) and (at == 0 or body[at - 1] == "/"):
            parts.append("(?:.*/)?")
            at += 3
        elif body.startswith("/**", at) and at + 3 == len(body):
            parts.append("/.*")
            at += 3
        elif body[at] == "*":
            parts.append("[^/]*")
            at += 1
            # Two of them within a name are as good as one, and many would make the matching slow.
            while body.startswith("*", at):
                at += 1
        elif body[at] == "?":
            parts.append("[^/]")
            at += 1
        elif body[at] == "[":
            # From the second character on: as the first it stands for itself.
            end = body.find("]", at + 2)
            if end < 0:
                raise re.error("a bracket is not closed")
            parts.append(_one_of(body[at + 1 : end]))
            at = end + 1
        else:
            at += body[at] == "\\" and at + 1 < len(body)
            parts.append(re.escape(body[at]))
            at += 1
    return "".join(parts)


def _one_of(inside: str) -> str:
    negated = inside[0] in "!^"
    chosen = inside[1:] if negated else inside
    escaped = "".join(f"\\{c}" if c in "\\[]^&~|" else c for c in chosen)
    return f"[{'^/' if negated else ''}{escaped}]"
