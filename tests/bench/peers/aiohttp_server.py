"""A bare aiohttp server on uvloop with the one answer: an application, or the library's lowest layer."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from aiohttp import web


async def _answer(request: web.BaseRequest) -> web.Response:
    return web.json_response({"hello": json.loads(await request.read())["name"]})


def _application() -> web.BaseRunner:
    app = web.Application()
    app.router.add_post("/", _answer)
    return web.AppRunner(app, access_log=None)


async def _serve(layer: str, port: int) -> None:
    runner = _application() if layer == "application" else web.ServerRunner(web.Server(_answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
