"""Which function answers a request: the routes of all http triggers as one immutable table. Pure, no I/O.

A literal segment wins over a ``{parameter}``, from left to right, so `/thumb/new` is found before `/thumb/{name}`.
Every function with an http trigger also answers at ``/fn/{its name}`` and below it. The table is a tree of segments, so
what a look costs does not grow with the number of routes.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Iterator

import msgspec

from faas.core import errors, model

_BY_NAME = "fn"
_NAMED = f"/{_BY_NAME}/"


class Route(msgspec.Struct, frozen=True):
    """One route and the revision that answers it; no methods means all of them.

    ``place`` is where its trigger stands among the revision's; None for the route by the function's name.
    """

    path: str
    methods: frozenset[str]
    revision: model.Revision
    place: int | None = None

    def key(self, method: str) -> str:
        """The ``routeKey`` of payload format 2.0: method and path as declared."""
        return f"{method if self.methods else 'ANY'} {self.path}"


class Match(msgspec.Struct, frozen=True):
    """A route that fits a request, with its path parameters, decoded."""

    route: Route
    parameters: dict[str, str]


class _Branch:
    """What follows a begin of paths: the next segment's branches, and the routes that end here, as declared."""

    __slots__ = ("literals", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Branch] = {}
        self.parameter: _Branch | None = None
        self.routes: list[Route] = []

    def after(self, segment: str) -> _Branch:
        """The branch of a declared segment, made when there is none."""
        if not _is_parameter(segment):
            return self.literals.setdefault(segment, _Branch())
        if self.parameter is None:
            self.parameter = _Branch()
        return self.parameter


class Routes:
    """The table, built once per catalog version."""

    def __init__(self, revisions: Iterable[model.Revision]) -> None:
        self._root = _Branch()
        self._by_name: dict[str, Route] = {}
        self._literal: dict[str, list[Match]] = {}
        """The routes without a parameter by their paths, as most are: no other comes before them."""
        for revision in revisions:
            for place, trigger in enumerate(revision.config.triggers):
                if isinstance(trigger, model.HttpTrigger):
                    self._add(Route(trigger.path, frozenset(trigger.methods), revision, place))

    def _add(self, route: Route) -> None:
        branch, segments = self._root, _segments(route.path)
        for segment in segments:
            branch = branch.after(segment)
        branch.routes.append(route)
        if not any(_is_parameter(segment) for segment in segments):
            self._literal.setdefault("/" + "/".join(segments), []).append(Match(route, {}))
        name = route.revision.function
        self._by_name[name] = Route(f"/{_BY_NAME}/{name}", frozenset(), route.revision)

    def find(self, method: str, raw_path: str) -> Match:
        """The route for a request. Raises `errors.NotFound`, or `errors.MethodNotAllowed` with ``allow``."""
        if not raw_path.startswith(_NAMED):
            for match in self._literal.get(raw_path, ()):
                if not match.route.methods or method in match.route.methods:
                    return match
        segments = _segments(raw_path)
        if len(segments) >= 2 and segments[0] == _BY_NAME and segments[1] in self._by_name:
            return Match(self._by_name[segments[1]], {})
        allowed: set[str] = set()
        for route in self._fitting(segments):
            if not route.methods or method in route.methods:
                return Match(route, _parameters(_segments(route.path), segments))
            allowed |= route.methods
        if allowed:
            raise errors.MethodNotAllowed(f"{raw_path} does not take {method}", allow=", ".join(sorted(allowed)))
        raise errors.NotFound(f"no function answers {raw_path}", hint="`faas ls` shows the routes")

    def _fitting(self, segments: tuple[str, ...]) -> Iterator[Route]:
        """The routes that fit a path, those with the earlier literals first."""
        last = len(segments)
        open_ones = [(self._root, 0)]
        while open_ones:
            branch, at = open_ones.pop()
            if at == last:
                yield from branch.routes
                continue
            segment = segments[at]
            if branch.parameter is not None and segment:
                open_ones.append((branch.parameter, at + 1))
            # On top, so that it is looked at first.
            if (literal := branch.literals.get(segment)) is not None:
                open_ones.append((literal, at + 1))


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/"))


def _parameters(declared: tuple[str, ...], given: tuple[str, ...]) -> dict[str, str]:
    pairs = zip(declared, given, strict=True)
    return {one[1:-1]: urllib.parse.unquote(other) for one, other in pairs if _is_parameter(one)}


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")
