"""Paths of HTTP requests and of routes, so that what means the same compares as the same; pure functions."""

from __future__ import annotations

import enum
import re
import string
import urllib.parse
from typing import NamedTuple

_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}").fullmatch


class SegmentKind(enum.Enum):
    """What a segment of a route takes: its own text, any one segment, or all that follow."""

    LITERAL = enum.auto()
    ONE = enum.auto()
    REST = enum.auto()


class PathSegment(NamedTuple):
    """A segment of a route: ``text`` is what it says, with nothing escaped, or the name of its parameter."""

    kind: SegmentKind
    text: str


def normal(path: str) -> str:
    """A path as RFC 3986, 6.2.2 has it: nothing escaped that need not be, hex digits in capitals, no dot segments.

    Whatever else is escaped stays so (``%2F`` is a part of its segment), and so do empty segments.
    """
    if "%" in path:
        path = _ESCAPE.sub(_unescaped, path)
    # Hidden files have it too; most paths do not.
    return _without_dots(path) if "/." in path else path


def has_dot_segments(path: str) -> bool:
    """Whether the segments of a path are others in its normal form than as it was sent."""
    return any(part in (".", "..") for part in _ESCAPE.sub(_unescaped, path).split("/"))


def segments(path: str) -> tuple[str, ...]:
    """The segments of a request's path, each with nothing escaped; slashes at its ends count for nothing."""
    found = normal(path).strip("/").split("/")
    return tuple(urllib.parse.unquote(each) if "%" in each else each for each in found)


def parts(route: str) -> tuple[PathSegment, ...]:
    """The segments of a route: ``{name}`` is a parameter for one segment, ``{name+}`` for all that follow."""
    return tuple(_part(segment) for segment in normal(route).strip("/").split("/"))


def shape(route: str) -> tuple[tuple[SegmentKind, str], ...]:
    """A route without the names of its parameters: routes of one shape answer the same paths."""
    return tuple((kind, text if kind is SegmentKind.LITERAL else "") for kind, text in parts(route))


def _part(segment: str) -> PathSegment:
    found = _PARAMETER(segment)
    if found is None:
        return PathSegment(SegmentKind.LITERAL, urllib.parse.unquote(segment))
    return PathSegment(SegmentKind.REST if found[2] else SegmentKind.ONE, found[1])


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _without_dots(path: str) -> str:
    given = path.split("/")
    kept: list[str] = []
    for segment in given:
        if segment == "..":
            # Never the empty one before the first slash: what goes above the top stays at the top.
            del kept[max(len(kept) - 1, 1) :]
        elif segment != ".":
            kept.append(segment)
    # It named a folder, whose path ends with a slash.
    if given[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)
