"""Nothing that a function returns or a caller sends keeps the event loop, which all functions of a node share."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.buckets.folder import ordered
from faas.cli import node
from faas.core import model
from faas.core import settings as settings_module
from faas.core.values import json_text, large_json
from runners.sandbox import frames, objects, wire
from tests import loop_gaps
from tests.hostile import test_channel, test_edges
from triggers.gateway import inbox

MB = 1_000_000
ONES = b"[" + b",".join([b"1"] * (3 * MB - 100)) + b"]"
"""As many values as a result may have."""

HOSTILE = {
    "numbers": ONES,
    "object": b'{"numbers":' + ONES[: -50 * 2 - 1] + b"]}",
    "response": b'{"statusCode":200,"body":"x","more":' + ONES[: -50 * 2 - 1] + b"]}",
    "depth": b'{"statusCode":200,"more":' + b'{"a":' * 900_000 + b"1" + b"}" * 900_001,
    "cookies": b'{"statusCode":200,"cookies":[' + b",".join([b'"a"'] * (MB + MB // 2 - 100)) + b"]}",
    "status": b'{"statusCode":' + ONES[: -50 * 2 - 1] + b"]}",
    "body of numbers": b'{"statusCode":200,"body":' + ONES[: -50 * 2 - 1] + b"]}",
    "cookie and numbers": b'{"statusCode":200,"cookies":["a=1"],"body":' + ONES[: -50 * 2 - 1] + b"]}",
    "escapes": json.dumps("\x01" * (MB - 100)).encode(),
    "blanks": b" " * (6 * MB - 100) + b"{}",
    "base64": b'{"statusCode":200,"isBase64Encoded":true,"body":"' + base64.b64encode(b"x" * 4 * MB) + b'"}',
}  # fmt: skip
REMARKED = ("cookies", "status", "body of numbers", "cookie and numbers", "words", "halves")
ONLY_RESULTS = {
    "some depth": b'{"statusCode":200,"body":[' + b"1," * (2 * MB) + b"[" * 900 + b"]" * 900 + b"]}",
    "words": b'{"statusCode":200,"more":[' + b"NaN," * MB + b"1]}",
    "halves": b'{"statusCode":200,"more":"' + b"\\ud800" * (MB - 100) + b'"}',
}  # fmt: skip


@pytest.fixture(autouse=True)
def as_in_a_node() -> Iterator[None]:
    """Threads take turns as often as there."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(node.THREADS_TAKE_TURNS_EVERY_S)
    yield
    sys.setswitchinterval(usual_s)


@pytest.mark.parametrize("kind", HOSTILE | ONLY_RESULTS)
async def test_a_large_result_of_a_sandbox_is_looked_through_while_others_go_on(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(test_channel, "LIMITS", settings_module.of())
    body, is_deep = (HOSTILE | ONLY_RESULTS)[kind], "depth" in kind

    async def answers() -> None:
        peer = test_channel.Peer(lambda _: None)
        await peer.load(60_000)
        name, outcome = peer.run()
        await asyncio.get_running_loop().sock_sendall(peer.far, test_channel.result(name, body))
        ran = await outcome
        assert ran.status == ("error" if is_deep else "ok"), ran.error
        assert ran.body == (b"null" if is_deep else body)
        assert bool(ran.remarks) == (kind in REMARKED), ran.remarks
        assert not peer.is_doomed
        peer.close()

    # What is too deep has a look of the parser's own, in a thread that keeps the interpreter for half of one.
    bound = 1.5 if is_deep else 0.9
    assert await loop_gaps.least_of_longest(answers, bound) < bound


def _parts(body: bytes) -> object:
    return large_json.sizes(body, ["statusCode"]), large_json.cut_out(body, ["statusCode"], "none")


HUGE = b",".join([ONES] * 3)
LOOKS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "json": (large_json.is_json, b"[" + HUGE + b"]"),
    "result": (large_json.is_result, b'{"more":[' + HUGE + b"]}"),
    "words": (large_json.is_result, b"[" + b"NaN," * 4 * MB + b"1]"),
    "parts": (_parts, b'{"statusCode":200,"more":[' + HUGE + b"]}"),
}


@pytest.mark.parametrize("kind", LOOKS)
def test_a_look_at_a_large_value_lets_other_threads_go_on(kind: str) -> None:
    """Unlike one by a parser made for Python, whose thread has the interpreter until it is done."""
    look, body = LOOKS[kind]
    others = min(loop_gaps.share_beside(json_text.is_json, LOOKS["json"][1]) for _ in range(3))
    ours = max(loop_gaps.share_beside(look, body) for _ in range(3))
    assert others < 0.4 and ours > 1.5 * others and ours > 0.5


@pytest.mark.parametrize("body", [b"1],[2", b'"\xff"', b'"\0"', b"1\0", b"", b"[1", b"-NaN"])
async def test_a_large_result_that_is_no_json_costs_the_sandbox(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr(test_channel, "LIMITS", settings_module.of())
    peer = test_channel.Peer(lambda _: None)
    await peer.load(60_000)
    name, outcome = peer.run()
    padded = body + b" " * (large_json.LARGE_BYTES + 1)
    await asyncio.get_running_loop().sock_sendall(peer.far, test_channel.result(name, padded))
    ran = await outcome
    assert ran.error is not None and "a result that is not JSON" in ran.error.message
    assert peer.is_doomed and not ran.reusable
    peer.close()


async def test_a_large_result_that_came_in_time_to_a_loop_that_is_late_is_no_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(test_channel, "LIMITS", settings_module.of())
    peer = test_channel.Peer(lambda _: None)
    await peer.load()
    name, outcome = peer.run()
    body = b'"' + b"x" * large_json.LARGE_BYTES + b'"'
    monkeypatch.setattr(wire, "RECEIVE_BYTES", 1_000_000)
    peer.far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
    peer.far.send(test_channel.result(name, body))
    time.sleep(test_channel.TIMEOUT_MS / 1_000 * 2)  # noqa: ASYNC251 - that is what makes it late
    peer.channel._on_timer()
    ran = await outcome
    assert (ran.status, ran.body) == ("ok", body)
    peer.close()


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_large_result_becomes_an_answer_while_others_go_on(redis_url: str, prefix: str, kind: str) -> None:
    async with test_edges.serving(redis_url, prefix) as platform:
        platform.function.body = HOSTILE[kind]

        keys = itertools.count()

        async def asks() -> None:
            # A key of its own each time: the second answer to one is what was kept of the first.
            for fields in ((), (f"Idempotency-Key: {next(keys)}",)):
                said = await platform.ask(test_edges.call("/hello", *fields))
                expected = b"502" if kind in ("depth", "cookies", "status") else b"200"
                assert said[9:12] == expected, said[:300]

        assert await loop_gaps.least_of_longest(asks, 2) < 2


async def test_requests_that_come_together_are_answered_in_their_order_while_others_go_on(
    redis_url: str, prefix: str
) -> None:
    async with test_edges.serving(redis_url, prefix) as platform:
        one, other = (b"GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % path for path in (b"/nothing", b"/healthz"))
        several = b"".join(one if number % 3 else other for number in range(9_000))

        async def asks() -> None:
            said = await platform.ask(several + test_edges.call())
            answered = re.findall(rb"HTTP/1.1 (\d+)", said)
            assert answered == [b"404" if number % 3 else b"200" for number in range(9_000)] + [b"200"]

        assert await loop_gaps.least_of_longest(asks, 2) < 2


async def test_requests_of_a_client_that_sends_its_last_are_all_answered(redis_url: str, prefix: str) -> None:
    async with test_edges.serving(redis_url, prefix) as platform, contextlib.AsyncExitStack() as stack:
        several = b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n" * 1_000
        one = await platform.open(stack, test_edges.ALICE, several)
        one.shutdown(socket.SHUT_WR)
        said = bytearray()
        while piece := await asyncio.get_running_loop().sock_recv(one, 65_536):
            said += piece
        assert said.count(b"HTTP/1.1 404 ") == 1_000


@pytest.mark.parametrize("size", [1, 1_000])
async def test_a_body_in_chunks_of_a_byte_each_comes_whole_while_others_go_on(
    redis_url: str, prefix: str, size: int
) -> None:
    async with test_edges.serving(redis_url, prefix, max_connection_bytes=50 * MB) as platform:
        head = b"POST /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"%x\r\n%s\r\n" % (size, b"x" * size)
        request = head + chunk * (MB // (len(chunk))) + b"0\r\n\r\n"

        async def asks() -> None:
            platform.function.called.clear()
            assert b" 200 " in (await platform.ask(request))[:20]
            (call,) = platform.function.called
            assert call.event.count(b"x" * 100) == (MB // len(chunk)) * size // 100

        assert await loop_gaps.least_of_longest(asks, 2) < 2


def test_a_body_in_chunks_is_taken_in_parts_and_loses_nothing() -> None:
    taken = inbox.Chunks()
    data = bytearray(b"1\r\nx\r\n" * 5_000 + b"0\r\n\r\nrest")
    turns = 0
    while not taken.is_whole:
        taken.take_from(data)
        turns += 1
        assert taken.is_behind or taken.is_whole
    assert turns > 5
    assert (bytes(taken.body), bytes(data)) == (b"x" * 5_000, b"rest")


async def test_a_request_with_a_large_body_and_a_key_is_taken_in_while_others_go_on(
    redis_url: str, prefix: str
) -> None:
    async with test_edges.serving(redis_url, prefix, max_connection_bytes=50 * MB) as platform:
        for number, body in enumerate((b'"' * (3 * MB - 10_000), b"\xff" * (4 * MB), b"1," * (2 * MB))):

            async def asks(number: int = number, body: bytes = body) -> None:
                field = f"Idempotency-Key: {number}"
                assert b" 200 " in (await platform.ask(test_edges.call("/hello", field, body=body)))[:20]

            # Its event is made at once, which takes about as long as one look.
            assert await loop_gaps.least_of_longest(asks, 2) < 2


async def test_a_function_lists_a_huge_bucket_while_others_go_on(tmp_path: Path) -> None:
    for number in range(40_000):
        os.close(os.open(tmp_path / f"{number * 7919 % 40_000:06d}-{'x' * 40}", os.O_CREAT | os.O_WRONLY))
    bucket = folders.BucketFolder("b", tmp_path)
    served = objects.Objects(lambda _: bucket, most_bytes=MB)
    served.declare({"b": model.Access.READ})
    found: list[str] = []

    async def lists() -> None:
        found.clear()
        while True:
            request = frames.List(1, "b", "", found[-1] if found else "", 1 << 40)
            answer = await served.serve(request)
            assert answer is not None
            page = [item["key"] for item in json.loads(answer.body)]
            assert len(page) == buckets.PAGE
            found.extend(page)
            if len(found) >= 5_000:
                return

    assert await loop_gaps.least_of_longest(lists, 2) < 2
    assert found == sorted(found) and len(found) == 5_000


def test_names_of_a_folder_are_sorted_in_parts_that_take_no_longer_than_half_a_look() -> None:
    most = min(ordered.PART, 200_000)
    names = [f"{number * 7919 % most:06d}-{'x' * 40}" for number in range(most)]

    def taken_s() -> float:
        begun_s = time.thread_time()
        sorted(names, reverse=True)
        return time.thread_time() - begun_s

    assert min(taken_s() / loop_gaps.look_s() for _ in range(5)) < 0.5


class _Slow(folders.BucketFolder):
    """A bucket whose pages take a tenth of a second."""

    def list(self, prefix: str = "", after: str = "", limit: int = 1) -> list[buckets.Object]:
        time.sleep(0.1)
        return []


async def test_whoever_lists_without_end_has_no_more_than_half_of_the_time(tmp_path: Path) -> None:
    bucket = _Slow("b", tmp_path)
    served = objects.Objects(lambda _: bucket, most_bytes=MB)
    served.declare({"b": model.Access.READ})
    begun = asyncio.get_running_loop().time()
    for _ in range(3):
        await served.serve(frames.List(1, "b"))
    assert asyncio.get_running_loop().time() - begun >= 0.48, "two rests of a tenth of a second"
