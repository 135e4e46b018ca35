"""The page: its one HTML file at every address that a person may open, its parts below ``/static/``.

Neither needs a session: they hold nothing of this platform. What they show they ask of the control API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from faas.api.entry import guarding
from faas.core import errors
from faas.web import files

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FILES = web.AppKey("files", files.Files)

_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_NONE: Mapping[str, str] = {}
_API = ("/api/", files.PREFIX)
_ALSO_PAGES = ("/buckets",)
"""Routes of the control API that are addresses of the page, too, when a browser opens them as a document."""


def add_routes(app: web.Application) -> None:
    """Serve the page with an application that has `FILES`."""
    app.router.add_get("/", shell)
    app.router.add_get(files.PREFIX + "{path:.*}", static)


def is_public(request: web.Request) -> bool:
    """Whether a request is for the page itself or for one of its files."""
    return request.path == "/" or request.path.startswith(files.PREFIX)


async def shell(request: web.Request) -> web.Response:
    """The page. Raises `errors.NotFound` where this installation has none."""
    found = request.app[FILES].shell
    if found is None:
        raise errors.NotFound("this installation has no page", hint="its folder faas/web/static is empty")
    return _answer(request, found, _ASK_AGAIN, {"Content-Security-Policy": guarding.PAGE_POLICY})


async def static(request: web.Request) -> web.Response:
    """One file of the page. Raises `errors.NotFound`."""
    found, is_for_good = request.app[FILES].find(request.match_info["path"])
    if found is None:
        raise errors.NotFound(f"the page has no file {request.path[:200]}", hint="load the page anew")
    return _answer(request, found, _FOR_GOOD if is_for_good else _ASK_AGAIN)


@web.middleware
async def opened(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the page to a browser that opens one of its addresses, such as ``/functions/hello``."""
    return await (shell if _is_address(request) else handler)(request)


def _is_address(request: web.Request) -> bool:
    # Browsers ask so for what a person opens; `fetch` and curl do not, and get what the control API says.
    if request.method not in ("GET", "HEAD") or "text/html" not in request.headers.get("Accept", ""):
        return False
    if request.path.startswith(_API):
        return False
    is_route = request.match_info.http_exception is None and request.path != "/"
    return not is_route or _is_listing(request)


def _is_listing(request: web.Request) -> bool:
    """A bucket's address is the page's; that of an object is the object's."""
    return request.path.rstrip("/") in _ALSO_PAGES or (
        request.path.startswith("/buckets/") and request.path.count("/") == 2
    )


def _answer(request: web.Request, found: files.File, caching: str, more: Mapping[str, str] = _NONE) -> web.Response:
    # `Accept`, as one address is a page for people and JSON for programs: a cache must not give one for the other.
    headers = {"ETag": f'"{found.etag}"', "Cache-Control": caching, "Vary": "Accept-Encoding, Accept", **more}
    if any(tag.value in ("*", found.etag) for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    body = found.body
    if found.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        body = found.packed
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers={**headers, "Content-Type": found.media})
