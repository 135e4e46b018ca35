"""The fuzzer itself: it finds what is broken, makes it small, and tries the same again for the same seed."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fuzz import edge, mutate, responses, running, shrink, trees


class Planted(edge.Edge):
    """An edge with one fault, which the test chooses."""

    name = "planted"
    tokens = (b"bug",)

    def __init__(self) -> None:
        self.tried: list[bytes] = []
        self.held: list[bytes] = []

    def seeds(self) -> Iterable[bytes]:
        yield b"hello world"

    async def attempt(self, given: bytes) -> str:
        self.tried.append(given)
        if b"bug" in given:
            await self.fail()
        return str(len(given) % 5)

    async def fail(self) -> None:
        raise KeyError("planted")


async def found(planted: edge.Edge, tmp_path: Path, seed: int = 1, inputs: int = 2_000) -> running.Report:
    return await running.run(planted, edge.Around(tmp_path), seed, running.Until(inputs=inputs))


async def test_a_fault_is_found_once_and_its_input_is_made_small(tmp_path: Path) -> None:
    report = await found(Planted(), tmp_path)
    (only,) = report.findings
    assert only.given == b"bug"
    assert only.where.startswith("KeyError at test_fuzz.py:")


async def test_the_same_seed_tries_the_same_inputs_and_another_one_others(tmp_path: Path) -> None:
    one, same, other = Planted(), Planted(), Planted()
    await found(one, tmp_path, 1)
    await found(same, tmp_path, 1)
    await found(other, tmp_path, 2)
    assert one.tried == same.tried
    assert one.tried != other.tried


class Behind(Planted):
    async def fail(self) -> None:
        try:
            raise KeyError("logged")
        except KeyError:
            logging.getLogger("faas.gateway").exception("request_failed")


class Lost(Planted):
    async def fail(self) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class Finalizer(Planted):
    async def fail(self) -> None:
        class Odd:
            def __del__(self) -> None:
                raise KeyError("nobody hears this")

        Odd()


class Slow(Planted):
    most_cpu_s = 0.004

    async def fail(self) -> None:
        until_s = time.thread_time() + 0.006
        while time.thread_time() < until_s:
            pass


class Stuck(Planted):
    patience_s = 0.005

    async def fail(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("kind", [Behind, Lost, Finalizer, Slow, Stuck])
async def test_what_no_answer_tells_of_is_found_too(kind: type[Planted], tmp_path: Path) -> None:
    report = await found(kind(), tmp_path, inputs=80)
    assert any(b"bug" in finding.given for finding in report.findings)


class Together(Slow):
    at_once = 4
    most_cpu_s = 0.05

    async def fail(self) -> None:
        until_s = time.thread_time() + 0.06
        while time.thread_time() < until_s:
            pass


async def test_a_loop_that_is_held_up_by_one_of_several_inputs_is_noticed(tmp_path: Path) -> None:
    report = await found(Together(), tmp_path, inputs=15)
    assert [finding.where for finding in report.findings] == ["held up"]


async def test_memory_that_is_kept_is_noticed(tmp_path: Path) -> None:
    class Hoarding(Planted):
        async def attempt(self, given: bytes) -> str:
            self.held.append(bytes(40_000))
            return ""

    report = await found(Hoarding(), tmp_path)
    assert [finding.where for finding in report.findings] == ["memory grew"]
    assert (await found(Planted(), tmp_path)).grown_kib < running.MOST_GROWTH_KIB / 4


async def test_an_input_that_is_answered_in_a_new_way_is_one_that_others_are_made_of(tmp_path: Path) -> None:
    class Locked(Planted):
        """Each step is found only from the one before."""

        tokens = (b"a", b"b", b"c", b"d")

        async def attempt(self, given: bytes) -> str:
            opened = next((n for n in range(4, 0, -1) if b"abcd"[:n] in given), 0)
            if opened == 4:
                raise KeyError("open")
            return str(opened)

    report = await found(Locked(), tmp_path, inputs=30_000)
    assert [each.given for each in report.findings] == [b"abcd"]


def test_changed_inputs_keep_to_their_bound_and_changed_values_leave_the_old_ones_as_they_were() -> None:
    chance = random.Random(1)
    mutator = mutate.Mutator(chance, (b"a",), 100)
    assert all(len(mutator.mutated(b"12 [x]", [b"other"])) <= 100 for _ in range(2_000))
    value = {"a": [1, {"b": None}], "c": "d"}
    for _ in range(2_000):
        trees.changed(chance, value)
    assert value == {"a": [1, {"b": None}], "c": "d"}


async def test_what_cannot_be_left_out_stays() -> None:
    async def fails(given: bytes) -> bool:
        return given.count(b"a") >= 2 and b"z" in given

    assert await shrink.smallest(b"xxaxxaxxxxazxx" * 9, fails) in {b"aaz", b"aza", b"zaa"}


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\nBad Field: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"hello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n",
    ],
)
def test_an_answer_that_is_not_as_it_must_be_is_a_fault(said: bytes) -> None:
    with pytest.raises(edge.Broken):
        responses.parsed(said)


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b'{"error":{"code":"internal","message":"m"}}'), (400, b'{"error":{"code":"x"}}'), (400, b"no JSON")],
)
def test_an_error_of_another_shape_and_a_500_are_faults(status: int, body: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017 - Broken, or what reading the body raises
        responses.check_shape(responses.Response(status, {"content-type": "application/json"}, body))
