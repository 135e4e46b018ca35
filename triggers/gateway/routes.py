"""Which function answers a request: the routes of all http triggers as one immutable table. Pure, no I/O.

A literal segment wins over a ``{parameter}``, and that over a ``{rest+}``, from left to right, so `/thumb/new` is found
before `/thumb/{name}`. Every function with an http trigger also answers at ``/fn/{its name}`` and below it, where it
sees the path behind its name. Paths are compared in their normal form (`faas.core.http.paths`). The table is a tree of
segments, so what a look costs does not grow with the number of routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from faas.core import errors, model
from faas.core.http import paths
from faas.core.money import budgets

_BY_NAME = "fn"
_NAMED = f"/{_BY_NAME}/"
_SHOWN = 200
"""How much of a path a refusal tells."""


class Route(msgspec.Struct, frozen=True):
    """One route and the revision that answers it; no methods means all of them.

    ``place`` is where its trigger stands among the revision's; None for the route by the function's name. ``parts``
    are those of its path. ``stop`` is what keeps the function from running until some moment.
    """

    path: str
    methods: frozenset[str]
    revision: model.Revision
    place: int | None = None
    cors: model.Cors | None = None
    parts: tuple[paths.PathSegment, ...] = ()
    stop: budgets.BudgetStop | None = None

    def takes(self, method: str) -> bool:
        """Whether a request of that method is answered; whoever answers GET answers HEAD."""
        return not self.methods or self.as_seen(method) in self.methods

    def as_seen(self, method: str) -> str:
        """The method that the function sees. One that was declared for GET alone is asked nothing else."""
        return "GET" if method == "HEAD" and self.methods and "HEAD" not in self.methods else method

    def key(self, method: str) -> str:
        """The ``routeKey`` of payload format 2.0: method and path as declared."""
        return f"{self.as_seen(method) if self.methods else 'ANY'} {self.path}"


class Match(msgspec.Struct, frozen=True):
    """A route that fits a request, with its path parameters, decoded.

    ``path`` is the one that the function sees, where that is another than was sent.
    """

    route: Route
    parameters: dict[str, str]
    path: str | None = None


class _Branch:
    """What follows a begin of paths: the next segment's branches, and the routes that end here, as declared.

    ``rest`` are those that take all that follows.
    """

    __slots__ = ("literals", "parameter", "rest", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Branch] = {}
        self.parameter: _Branch | None = None
        self.rest: list[Route] = []
        self.routes: list[Route] = []

    def after(self, part: paths.PathSegment) -> _Branch:
        """The branch of a declared segment, made when there is none."""
        if part.kind is paths.SegmentKind.LITERAL:
            return self.literals.setdefault(part.text, _Branch())
        if self.parameter is None:
            self.parameter = _Branch()
        return self.parameter


class Routes:
    """The table, built once per catalog version."""

    def __init__(
        self, revisions: Iterable[model.Revision], stops: Mapping[str, budgets.BudgetStop] = MappingProxyType({})
    ) -> None:
        self._root = _Branch()
        self._by_name: dict[str, Route] = {}
        self._literal: dict[str, list[Match]] = {}
        """The routes without a parameter by their paths, as most are: no other comes before them."""
        for revision in revisions:
            stop = budgets.stop_of(stops, revision.function)
            for place, trigger in enumerate(revision.config.triggers):
                if isinstance(trigger, model.HttpTrigger):
                    parts, methods = paths.parts(trigger.path), frozenset(trigger.methods)
                    self._add(Route(trigger.path, methods, revision, place, trigger.cors, parts, stop))

    def _add(self, route: Route) -> None:
        branch = self._root
        for part in route.parts:
            if part.kind is paths.SegmentKind.REST:
                _put(branch.rest, route)
                break
            branch = branch.after(part)
        else:
            _put(branch.routes, route)
        if all(part.kind is paths.SegmentKind.LITERAL for part in route.parts):
            matches = self._literal.setdefault("/" + "/".join(part.text for part in route.parts), [])
            matches[:] = [Match(each, {}) for each in branch.routes]
        name = route.revision.function
        cors = route.cors if name not in self._by_name else self._by_name[name].cors or route.cors
        path = f"/{_BY_NAME}/{name}"
        self._by_name[name] = Route(path, frozenset(), route.revision, None, cors, stop=route.stop)

    def find(self, method: str, raw_path: str) -> Match:
        """The route for a request. Raises `errors.NotFound`, or `errors.MethodNotAllowed` with ``allow``."""
        # As nearly all paths are sent: one look, and no segment is made.
        if "%" not in raw_path and not raw_path.startswith(_NAMED):
            for match in self._literal.get(raw_path, ()):
                if match.route.takes(method):
                    return match
        segments = paths.segments(raw_path)
        if segments[0] == _BY_NAME:
            return self._named(segments, raw_path)
        allowed: set[str] = set()
        for route in self._fitting(segments):
            if route.takes(method):
                return Match(route, _parameters(route.parts, segments))
            allowed |= route.methods | ({"HEAD"} if "GET" in route.methods else set())
        if allowed:
            hint = (
                "what pages of other origins may do is said by `cors` of the http trigger"
                if method == "OPTIONS"
                else ""
            )
            allow = ", ".join(sorted(allowed))
            raise errors.MethodNotAllowed(f"{raw_path[:_SHOWN]} does not take {method}", hint=hint, allow=allow)
        raise _nobody(raw_path)

    def crossing(self, raw_path: str) -> model.Cors | None:
        """What pages of other origins may do on a path by whatever method; None when they may do nothing there."""
        segments = paths.segments(raw_path)
        if segments[0] == _BY_NAME:
            route = self._by_name.get(segments[1] if len(segments) > 1 else "")
            return None if route is None else route.cors
        return next((route.cors for route in self._fitting(segments) if route.cors is not None), None)

    def _named(self, segments: tuple[str, ...], raw_path: str) -> Match:
        route = self._by_name.get(segments[1] if len(segments) > 1 else "")
        if route is None:
            raise _nobody(raw_path)
        # As it was sent, unless dots in it would lead back out of what lies behind the name.
        path = paths.normal(raw_path) if paths.has_dot_segments(raw_path) else raw_path
        behind = path.lstrip("/").split("/", 2)[2:]
        return Match(route, {}, "/" + "".join(behind))

    def _fitting(self, segments: tuple[str, ...]) -> Iterator[Route]:
        """The routes that fit a path, those with the earlier literals first."""
        last = len(segments)
        # A stack in place of recursion: paths may have as many segments as a head has room for.
        open_ones: list[tuple[_Branch | list[Route], int]] = [(self._root, 0)]
        while open_ones:
            branch, at = open_ones.pop()
            if isinstance(branch, list):
                yield from branch
                continue
            if at == last:
                yield from branch.routes
                continue
            segment = segments[at]
            # What is to be looked at first goes on top. The last segment is empty in the path `/` alone.
            if branch.rest and segments[-1]:
                open_ones.append((branch.rest, at))
            if branch.parameter is not None and segment:
                open_ones.append((branch.parameter, at + 1))
            if (literal := branch.literals.get(segment)) is not None:
                open_ones.append((literal, at + 1))


def _put(routes: list[Route], route: Route) -> None:
    """Add a route to those of its shape. Whoever declares HEAD answers it before who answers it along with GET."""
    routes.append(route)
    routes.sort(key=lambda each: "HEAD" not in each.methods)


def _nobody(raw_path: str) -> errors.NotFound:
    return errors.NotFound(f"no function answers {raw_path[:_SHOWN]}", hint="`faas ls` shows the routes")


def _parameters(declared: tuple[paths.PathSegment, ...], given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at, part in enumerate(declared):
        if part.kind is paths.SegmentKind.REST:
            found[part.text] = "/".join(given[at:])
        elif part.kind is paths.SegmentKind.ONE:
            found[part.text] = given[at]
    return found
