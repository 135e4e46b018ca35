"""CORS: what browsers are told of a route that pages of other origins may call. Pure functions.

The gateway answers for the function: what it asks before (the preflight) makes no invocation, and every answer of the
route has the fields, those of the platform's errors too, so that a page can read what went wrong.
"""

from __future__ import annotations

import re

from faas.core import model
from faas.core.http import headers, replies

_ORIGIN, _METHOD, _HEADERS = "origin", "access-control-request-method", "access-control-request-headers"
_READABLE = (headers.INVOCATION_ID, headers.ERROR, "Retry-After")
"""What pages may read beside what the route exposes."""
_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*").fullmatch
_MOST_NAMES = 4_096


def asked_method(method: str, first: dict[str, str]) -> str | None:
    """The method that a browser asks about before it sends it; None for any other request."""
    return first.get(_METHOD) if method == "OPTIONS" and _ORIGIN in first else None


def lines(cors: model.Cors | None, first: dict[str, str]) -> str:
    """The header lines that each answer of a route has; none for a route without `cors`."""
    if cors is None:
        return ""
    return "".join(f"{name}: {value}\r\n" for name, value in _fields(cors, first.get(_ORIGIN)))


def preflight(cors: model.Cors, takes: tuple[str, ...], asked: str, first: dict[str, str]) -> replies.Reply:
    """The answer to a browser that asks whether it may send a request; its `lines` are added by who sends it.

    ``takes`` are the methods of the route, none for every one, and ``asked`` is the one that is to be sent.
    """
    if _allowed(cors, first.get(_ORIGIN)) is None:
        return replies.Reply(204, [], b"")
    methods = cors.methods or takes or (asked,)
    fields = [("Access-Control-Allow-Methods", ", ".join(methods))]
    wanted = first.get(_HEADERS, "")
    if cors.headers and cors.headers != ("*",):
        fields.append(("Access-Control-Allow-Headers", ", ".join(cors.headers)))
    elif len(wanted) <= _MOST_NAMES and _NAMES(wanted):
        fields.append(("Access-Control-Allow-Headers", wanted))
    if cors.max_age_s is not None:
        fields.append(("Access-Control-Max-Age", str(cors.max_age_s)))
    return replies.Reply(204, fields, b"")


def _fields(cors: model.Cors, origin: str | None) -> list[tuple[str, str]]:
    fields = [] if cors.origins == ("*",) else [("Vary", "Origin")]
    allowed = _allowed(cors, origin)
    if allowed is None:
        return fields
    fields.append(("Access-Control-Allow-Origin", allowed))
    if cors.credentials:
        fields.append(("Access-Control-Allow-Credentials", "true"))
    fields.append(("Access-Control-Expose-Headers", ", ".join(dict.fromkeys((*_READABLE, *cors.expose)))))
    return fields


def _allowed(cors: model.Cors, origin: str | None) -> str | None:
    """What stands in ``Access-Control-Allow-Origin``; None when this origin may do nothing."""
    if "*" in cors.origins:
        return "*"
    if origin is None or not any(_fits(origin, each) for each in cors.origins):
        return None
    return origin


def _fits(origin: str, declared: str) -> bool:
    scheme, star, domain = declared.partition("://*.")
    if not star:
        return origin == declared
    name = origin.removeprefix(f"{scheme}://")
    return name != origin and name.endswith(f".{domain}") and re.fullmatch(r"[a-z0-9.\-]+(?::\d+)?", name) is not None
