"""The load of examples/observe: it is bounded, however slow what it asks is, and says what became of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from aiohttp import test_utils, web

from examples.observe import hook, load
from faas.delivery import webhooks


async def test_work_is_sent_at_its_rate_and_no_more_of_it_than_its_time_has() -> None:
    seen: list[int] = []

    async def send(number: int) -> str:
        seen.append(number)
        return "ok"

    tallies = await load.keep_going([load.Work("quotes", 50, send), load.Work("none", 0, send)], 0.4)
    assert seen == list(range(20))
    assert tallies["quotes"].became == {"ok": 20}
    assert str(tallies["quotes"]).startswith("20 ok; p50 0.")
    assert str(tallies["none"]) == "nothing yet"


async def test_what_is_due_while_too_much_is_under_way_is_left_out() -> None:
    go_on = asyncio.Event()

    async def stuck(number: int) -> str:
        await go_on.wait()
        return "ok"

    running = asyncio.create_task(load.keep_going([load.Work("quotes", 1_000, stuck)], 0.1))
    asyncio.get_running_loop().call_later(0.3, go_on.set)
    assert (await running)["quotes"].became == {"ok": load.MOST_UNDER_WAY, "left out": 100 - load.MOST_UNDER_WAY}


def test_quantiles_are_of_what_was_seen() -> None:
    tally = load.Tally()
    for took_ms in range(1, 101):
        tally.add("ok", took_ms)
    tally.add("budget_reached", 1_000)
    assert str(tally) == "100 ok, 1 budget_reached; p50 51.0 ms, p99 100.0 ms"


async def test_each_call_is_named_by_what_became_of_it() -> None:
    async def quote(request: web.Request) -> web.Response:
        return web.json_response({"item": request.match_info["item"]})

    async def charge(request: web.Request) -> web.Response:
        assert request.headers["Faas-Invocation-Type"] == "async"
        assert set(json.loads(await request.read())) == {"order", "cents"}
        return web.json_response({}, status=202)

    async def report(_: web.Request) -> web.Response:
        return web.json_response({"error": {"code": "budget_reached"}}, status=429)

    app = web.Application()
    app.router.add_get("/quote/{item}", quote)
    app.router.add_post("/charge", charge)
    app.router.add_get("/report/{day}", report)
    became: dict[str, Any] = {}
    async with test_utils.TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        for work in load.works(session, 200)[:3]:
            became[work.name] = await work.send(7)
        await server.close()
        became["after"] = await load.works(session, 200)[0].send(0)
    assert became == {
        "quotes": "ok", "charges": "accepted", "reports": "budget_reached", "after": "ClientConnectorError",
    }  # fmt: skip


def test_the_hook_believes_what_the_platform_signed_lately_and_nothing_else() -> None:
    signed = webhooks.signature("secret", 1_000, b"{}")
    assert hook.is_genuine(signed, b"{}", "secret", 1_010.5)
    for signature, body, secret, now_s in (
        (signed, b"[]", "secret", 1_010.0),
        (signed, b"{}", "other", 1_010.0),
        (signed, b"{}", "secret", 1_000.0 + hook.WITHIN_S + 1),
        ("", b"{}", "secret", 1_010.0),
        ("t=,v1=", b"{}", "", 1_010.0),
    ):
        assert not hook.is_genuine(signature, body, secret, now_s)
