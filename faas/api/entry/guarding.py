"""Header fields that keep a browser from doing more with an answer than show it; on every answer of the control API."""

from __future__ import annotations

from aiohttp import web

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""What the page may load and do: files of its own, and nothing that stands in its HTML or comes from elsewhere."""
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""For whatever is no page: opened as a document, it runs nothing and belongs to no origin."""

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


async def guard(request: web.Request, response: web.StreamResponse) -> None:
    """Add the fields; what a handler has set itself stays."""
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", DATA_POLICY)
    # What the control API tells is of this moment, and for who is logged in.
    response.headers.setdefault("Cache-Control", "no-store")
