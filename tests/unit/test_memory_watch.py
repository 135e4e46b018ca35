"""How often an unlimited process is looked at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from faas.core import ids, model
from runners.engines.process import memory_watch
from runners.sandbox import base
from tests.eventually import eventually

MB = 1 << 20
TAKES = "import sys; sys.stdin.readline(); taken = bytearray(120 << 20); sys.stdin.readline()"

CALL = model.Invocation(
    id=ids.new_id(), function="f", revision=1, trigger="http", mode=model.Mode.SYNC, event=b"", accepted_at_ms=1
)


class Channel:
    """Runs nothing."""

    is_busy = False

    def run(self, invocation: model.Invocation, then: base.Then) -> None:
        self.is_busy = True


def test_a_busy_process_is_looked_at_often_and_an_idle_one_ever_more_seldom() -> None:
    assert memory_watch.next_look_s(30.0, is_busy=True) == memory_watch.LOOK_EVERY_S
    waits = [memory_watch.LOOK_EVERY_S]
    for _ in range(20):
        waits.append(memory_watch.next_look_s(waits[-1], is_busy=False))
    assert waits == sorted(waits)
    assert waits[-1] == memory_watch.IDLE_LOOK_EVERY_S
    # An hour of idling is some hundred looks; there were 72,000.
    assert 3600 / memory_watch.IDLE_LOOK_EVERY_S + 20 < 200


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes 120 MB when it is told to."""
    with subprocess.Popen([sys.executable, "-c", TAKES], stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


@pytest.mark.parametrize("is_busy", [False, True])
async def test_what_a_process_takes_while_it_is_idle_and_while_it_is_busy_is_found(
    process: subprocess.Popen[bytes], *, is_busy: bool
) -> None:
    over: list[bool] = []
    watch = memory_watch.MemoryWatch(process.pid, lambda: process.poll() is None, lambda: over.append(True))
    run = watch.limited_run(Channel())
    watch.begin(100 * MB)
    if is_busy:
        run(CALL, lambda _: None)
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    await eventually(lambda: over, within=10)
    watch.end()


async def test_an_attempt_wakes_a_watch_that_had_become_seldom(process: subprocess.Popen[bytes]) -> None:
    watch = memory_watch.MemoryWatch(process.pid, lambda: process.poll() is None, lambda: None)
    run = watch.limited_run(Channel())
    watch.begin(1 << 40)
    await eventually(lambda: watch.wait_s > 0.3, within=10)
    run(CALL, lambda _: None)
    assert watch.wait_s == memory_watch.LOOK_EVERY_S
    watch.end()
