"""Processor time: reading the host's accounts, and what of it is an attempt's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faas.core import clock, model
from faas.core.money import billing
from runners import attempt
from runners import slot as slots
from runners.engines import processor_time
from runners.sandbox import base

BURN = "x = 0\nfor i in range({}): x += i\n"


def group(tmp_path: Path, file: str, text: str) -> Path:
    (tmp_path / file).write_text(text)
    return tmp_path


def test_version_1_counts_nanoseconds(tmp_path: Path) -> None:
    account = processor_time.GroupAccount(group(tmp_path, "cpuacct.usage", "123456789\n"))
    assert account.used_us() == 123_456


def test_version_2_counts_microseconds(tmp_path: Path) -> None:
    text = "usage_usec 98765\nuser_usec 1\nsystem_usec 2\nnr_periods 3\n"
    assert processor_time.GroupAccount(group(tmp_path, "cpu.stat", text)).used_us() == 98_765


def test_what_has_grown_is_read_from_the_open_file(tmp_path: Path) -> None:
    account = processor_time.GroupAccount(group(tmp_path, "cpuacct.usage", "1000\n"))
    assert account.used_us() == 1
    (tmp_path / "cpuacct.usage").write_text("5000\n")
    assert account.used_us() == 5


@pytest.mark.parametrize("text", ["", "usage_usec\n", "usage_usec much\n", "\0"])
def test_an_account_that_makes_no_sense_tells_nothing(tmp_path: Path, text: str) -> None:
    assert processor_time.GroupAccount(group(tmp_path, "cpu.stat", text)).used_us() is None


def test_an_account_that_is_not_there_tells_nothing(tmp_path: Path) -> None:
    assert processor_time.GroupAccount(None).used_us() is None
    assert processor_time.GroupAccount(tmp_path / "gone").used_us() is None


def test_a_closed_account_tells_nothing_and_may_be_closed_again(tmp_path: Path) -> None:
    account = processor_time.GroupAccount(group(tmp_path, "cpuacct.usage", "1000\n"))
    account.close()
    account.close()
    assert account.used_us() is None


@pytest.fixture
def child() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Python processes, which say a byte when the code is through and then wait for their input to end."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> subprocess.Popen[bytes]:
        code += "\nimport sys; sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.read()"
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        return process

    yield start
    for process in begun:
        process.communicate()


def test_a_process_is_counted_by_its_own_clock(child: Callable[[str], subprocess.Popen[bytes]]) -> None:
    idle, busy = child(""), child(BURN.format(2_000_000))
    used = processor_time.ProcessAccount(busy.pid).used_us(), processor_time.ProcessAccount(idle.pid).used_us()
    assert used[0] is not None
    assert used[1] is not None
    assert used[0] > used[1] + 20_000


def test_children_that_were_waited_for_are_counted(child: Callable[[str], subprocess.Popen[bytes]]) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN.format(3_000_000)!r}])"
    parent = child(code)
    account = processor_time.ProcessAccount(parent.pid)
    used = account.used_us()
    children_us = processor_time.children_us(Path(f"/proc/{parent.pid}/stat"))
    assert children_us >= 50_000
    assert used is not None
    assert used > children_us


def test_a_process_that_has_gone_tells_nothing(child: Callable[[str], subprocess.Popen[bytes]]) -> None:
    process = child("")
    account = processor_time.ProcessAccount(process.pid)
    process.communicate()
    assert account.used_us() is None
    assert processor_time.children_us(Path(f"/proc/{process.pid}/stat")) == 0


def test_a_name_with_blanks_and_brackets_hides_no_field(tmp_path: Path) -> None:
    fields = " ".join(map(str, range(100)))
    (tmp_path / "stat").write_text(f"7 (a ) b) S {fields}")
    ticks = 12 + 13  # the numbers at places 16 and 17, as the first of the hundred is at place 4
    assert processor_time.children_us(tmp_path / "stat") == ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")


# -- what of it is an attempt's


class Metered:
    """A sandbox as far as a slot needs one: it answers at once, and its account says what the test wants."""

    id = "box"

    def __init__(self, readings: list[int | None]) -> None:
        self.readings = readings

    def cpu_us(self) -> int | None:
        return self.readings.pop(0)

    def run(self, _invocation: model.Invocation, then: base.Then) -> None:
        then(base.Ran(status=model.Status.OK, duration_us=1_500, memory_peak_mb=1))


REVISION = model.Revision(
    function="f",
    number=1,
    artifact="a",
    config=model.FunctionConfig(runtime="python3", handler="app.handler", memory_mb=128),
    created_at_ms=0,
)


def ran(readings: list[int | None], gaps_ms: list[int], *, background: bool = False) -> list[int | None]:
    """The processor time of attempts that follow one another after these gaps; the first one's is not looked at."""
    config = model.FunctionConfig(runtime="python3", handler="app.handler", background=background)
    revision = model.Revision(function="f", number=1, artifact="a", config=config, created_at_ms=0)
    birth = attempt.Birth(model.ColdStart.FULL, clock.now_ms(), clock.now_ms())
    sandbox = Metered(readings)
    slot = slots.Slot(sandbox, revision, birth, attempt.NodeRates("n", 0, 0))  # type: ignore[arg-type]
    found: list[int | None] = []
    for gap_ms in gaps_ms:
        slot.idle_since_ms = clock.now_ms() - gap_ms
        invocation = model.Invocation(
            id="i", function="f", revision=1, trigger="http", mode=model.Mode.SYNC, event=b"{}", accepted_at_ms=0
        )
        slot.run(invocation, lambda _slot, ended: found.append(ended.record.cpu_us))
    assert not sandbox.readings
    return found


def test_the_import_is_not_the_first_attempts() -> None:
    assert ran([700_000, 700_300], [0]) == [300]


def test_attempts_that_follow_closely_cost_one_reading_each() -> None:
    assert ran([0, 300, 550], [0, 0]) == [300, 250]


def test_what_goes_on_between_attempts_is_nobodys() -> None:
    assert ran([0, 300, 9_300, 9_400], [0, 500]) == [300, 100]


def test_what_goes_on_in_the_background_is_billed_and_counted_with_the_next() -> None:
    assert ran([0, 300, 9_400], [0, 500], background=True) == [300, 9_100]


def test_a_clock_that_was_set_back_does_not_make_two_attempts_one() -> None:
    assert ran([0, 300, 900, 950], [0, -60_000]) == [300, 50]


def test_where_nobody_tells_the_record_says_so() -> None:
    assert ran([None, None], [0]) == [None]
    assert ran([5, None, None, 8], [0, 500]) == [None, None]


def test_a_counter_that_falls_counts_nothing() -> None:
    assert ran([500, 400], [0]) == [0]


def record(cpu_us: int | None, price: int) -> model.Record:
    invocation = model.Invocation(
        id="i", function="f", revision=1, trigger="http", mode=model.Mode.SYNC, event=b"{}", accepted_at_ms=0
    )
    outcome = base.Ran(status=model.Status.OK, duration_us=1, memory_peak_mb=1)
    rates = attempt.NodeRates("n", 16_666_700, 200, price_cpu_s_micro=price)
    waited = attempt.Waited(0, 0)
    return attempt.record(invocation, REVISION, waited, outcome, rates, sandbox="s", ended_at_ms=1, cpu_us=cpu_us)


def test_processor_time_costs_nothing_by_default_and_its_price_else() -> None:
    free = record(1_000_000, 0)
    assert free.cpu_us == 1_000_000
    assert free.cost_pico == billing.cost_pico(1, 128, 16_666_700, 200)
    assert record(1_000_000, 25_000_000).cost_pico == free.cost_pico + 25_000_000
    assert record(None, 25_000_000).cost_pico == free.cost_pico


def test_processor_time_is_rounded_half_up_to_a_pico_unit() -> None:
    assert [billing.cpu_pico(us, 1_500) for us in (0, 333, 334, 1_000)] == [0, 0, 1, 2]


def test_records_without_it_are_read() -> None:
    import msgspec

    old = msgspec.msgpack.encode(record(5, 0))
    fields = msgspec.msgpack.decode(old)
    place = model.Record.__struct_fields__.index("cpu_us")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fields[:place]), type=model.Record).cpu_us is None
