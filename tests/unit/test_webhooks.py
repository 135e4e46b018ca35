"""What is sent to URLs: how names are looked up, and what of a URL is told."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from faas.delivery import webhooks
from tests.eventually import eventually


async def test_names_that_are_looked_up_for_long_keep_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, found = threading.Event(), socket.getaddrinfo
    asked: list[str] = []

    def slow(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        if host.endswith(".slow.test"):
            go_on.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answers")
        return found(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with webhooks.session(60_000) as client:
        urls = [f"http://{number}.slow.test/" for number in range(64)]
        posts = [asyncio.create_task(webhooks.post(client, url, b"{}", secret="s", headers={})) for url in urls]
        await eventually(lambda: len(asked) == webhooks.LOOKUPS_AT_ONCE, within=20)
        async with asyncio.timeout(20):
            # Where timers and alarms ask the database.
            assert await asyncio.gather(*(asyncio.to_thread(lambda: 7) for _ in range(8))) == [7] * 8
        assert len(asked) == webhooks.LOOKUPS_AT_ONCE
        go_on.set()
        tried = await asyncio.gather(*posts)
    assert {each.verdict for each in tried} == {webhooks.Verdict.LATER}


async def test_a_name_and_an_address_of_ipv6_are_found() -> None:
    names = webhooks.NamesApart()
    assert {each["host"] for each in await names.resolve("127.0.0.1", 80)} == {"127.0.0.1"}
    (local,) = await names.resolve("::1", 80, socket.AF_INET6)
    assert (local["host"], local["port"], local["family"]) == ("::1", 80, socket.AF_INET6)
    with pytest.raises(OSError):
        await names.resolve("no such name", 80)
    await names.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://hooks.example.com/services/T0/B0/secret", "https://hooks.example.com/…"),
        ("https://example.com:8443/?key=secret", "https://example.com:8443/…"),
        ("https://user:secret@example.com/", "https://example.com/"),
        ("http://[::1]:9/secret", "http://[::1]:9/…"),
        ("https://example.com", "https://example.com/"),
        ("http://[secret", "a URL that cannot be read"),
    ],
)
def test_of_a_url_its_host_is_told_and_no_more(url: str, told: str) -> None:
    assert webhooks.in_words(url) == told


async def test_why_a_url_cannot_be_sent_to_does_not_tell_it() -> None:
    async with webhooks.session(1_000) as client:
        tried = await webhooks.post(client, "ftp://example.com/secret", b"{}", secret="s", headers={})
    assert (tried.verdict, "secret" in tried.why) == (webhooks.Verdict.NEVER, False)
