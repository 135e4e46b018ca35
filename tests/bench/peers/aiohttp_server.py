"""What no function platform on aiohttp can beat: its bare server on uvloop, and the answer."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from aiohttp import web


async def _answer(request: web.BaseRequest) -> web.Response:
    return web.json_response({"hello": json.loads(await request.read())["name"]})


async def _serve(port: int) -> None:
    runner = web.ServerRunner(web.Server(_answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
