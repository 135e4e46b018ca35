"""The parties of a machine never promise more memory in sum than there is, however many they are, however they die."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from faas.cluster import machine
from faas.core import errors

_DIES = """
import pathlib, sys
from faas.cluster import machine
part = machine.Broker(pathlib.Path(sys.argv[1]), 100).join("mortal")
assert part.promise(60)
print("promised", flush=True)
sys.stdin.readline()
"""


_PARTIES = 4
# Promises and takes back at random, and notes the largest sum of what all were granted. What each says that it was
# granted is told after the promise and before it is taken back, so the sum is never over what was promised.
_GRABS = """
import mmap, os, pathlib, random, sys
from faas.cluster import machine
number = int(sys.argv[3])
draw = random.Random(number)
part = machine.Broker(pathlib.Path(sys.argv[1]), 100).join(f"p{number}")
with open(sys.argv[2], "r+b") as file:
    told = memoryview(mmap.mmap(file.fileno(), 0)).cast("i")
held = []
for _ in range(600):
    if held and draw.random() < 0.45:
        mb = held.pop()
        told[number] -= mb
        part.take_back(mb)
    else:
        mb = draw.randint(1, 40)
        if part.promise(mb):
            told[number] += mb
            held.append(mb)
    told[-1] = max(told[-1], sum(told[:-1]))
os._exit(0)
"""


@pytest.fixture
def broker(tmp_path: Path) -> machine.Broker:
    return machine.Broker(tmp_path / "memory", 100)


@pytest.fixture
def mortal(broker: machine.Broker) -> Iterator[subprocess.Popen[bytes]]:
    """A party of another process that has promised 60 MB."""
    command = [sys.executable, "-c", _DIES, str(broker.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"promised\n"
        yield process
        process.kill()


def test_one_party_gets_what_another_has_not(broker: machine.Broker) -> None:
    one, other = broker.join("one"), broker.join("other")
    assert one.promise(60)
    assert not other.promise(41)
    assert other.free_mb == 40
    assert other.promise(40)
    assert (one.free_mb, broker.promised_mb()) == (0, 100)
    one.take_back(10)
    assert other.free_mb == 10
    one.leave()
    assert other.promise(60)
    other.leave()
    assert broker.promised_mb() == 0
    assert list(broker.folder.iterdir()) == []


def test_nothing_is_dead_where_nobody_was(broker: machine.Broker) -> None:
    assert (broker.dead(), broker.promised_mb()) == ([], 0)
    broker.bury(["nobody"])


def test_what_a_dead_party_promised_counts_until_its_sandboxes_are_gone(
    broker: machine.Broker, mortal: subprocess.Popen[bytes]
) -> None:
    mine = broker.join("mine")
    assert broker.dead() == []
    mortal.kill()
    mortal.wait()
    assert broker.dead() == ["mortal"]
    assert not mine.promise(41)
    broker.bury(["mortal"])
    assert mine.promise(100)
    assert broker.dead() == []
    mine.leave()


def test_a_party_that_is_stopped_is_not_dead_and_holds_up_nobody(
    broker: machine.Broker, mortal: subprocess.Popen[bytes]
) -> None:
    mine = broker.join("mine")
    os.kill(mortal.pid, signal.SIGSTOP)
    assert broker.dead() == []
    assert mine.promise(40)
    assert not mine.promise(1)
    mine.leave()


def test_more_than_there_is_is_promised_to_nobody(broker: machine.Broker) -> None:
    part = broker.join("one")
    assert not part.promise(101)
    assert broker.promised_mb() == 0
    assert part.promise(0)
    assert part.promise(100)
    part.leave()


def test_a_folder_that_somebody_removed_is_made_again_with_what_is_promised(broker: machine.Broker) -> None:
    one, other = broker.join("one"), broker.join("other")
    assert one.promise(50)
    shutil.rmtree(broker.folder)
    assert one.promise(10)
    assert other.promise(40)
    assert not other.promise(1)
    assert broker.dead() == []
    one.leave()
    other.leave()


def test_a_folder_that_cannot_be_written_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Unavailable, match="cannot be written to") as raised:
        machine.Broker(tmp_path / "file" / "memory", 100).join("one")
    assert raised.value.hint


def test_what_has_a_partys_place_and_is_none_is_dead_or_nothing(broker: machine.Broker, tmp_path: Path) -> None:
    part = broker.join("one")
    (tmp_path / "large").write_bytes(b"x" * 1_000)
    (broker.folder / "link").symlink_to(tmp_path / "large")
    (broker.folder / "empty").write_bytes(b"")
    assert broker.dead() == ["empty"]
    assert part.promise(50)
    broker.bury(broker.dead())
    assert (tmp_path / "large").exists()
    part.leave()


def test_parties_that_promise_at_the_same_time_never_promise_too_much(broker: machine.Broker, tmp_path: Path) -> None:
    granted = tmp_path / "granted"
    granted.write_bytes(bytes(4 * (_PARTIES + 1)))
    command = [sys.executable, "-c", _GRABS, str(broker.folder), str(granted)]
    parties = [subprocess.Popen([*command, str(number)]) for number in range(_PARTIES)]
    assert [party.wait(60) for party in parties] == [0] * _PARTIES
    *_, worst = struct.unpack(f"{_PARTIES + 1}i", granted.read_bytes())
    assert 60 < worst <= 100
    assert len(broker.dead()) == _PARTIES
