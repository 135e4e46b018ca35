"""Whose processor time is counted, and under which name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import cpu_time

_BURN = "import time; end = time.process_time() + 0.1\nwhile time.process_time() < end: pass"


def test_each_process_counts_for_its_nearest_ancestor_with_a_name() -> None:
    found = {
        1: cpu_time.Process(0, 1000.0, 1000.0),
        10: cpu_time.Process(1, 1.0, 2.0),  # up
        11: cpu_time.Process(10, 10.0, 0.0),  # node, of up
        12: cpu_time.Process(11, 20.0, 5.0),  # started by the node
        13: cpu_time.Process(10, 4.0, 0.0),  # started by up
        20: cpu_time.Process(1, 1000.0, 0.0),  # somebody else's
    }
    assert cpu_time.by_root(found, {10: "up", 11: "node"}) == {"up": 7.0, "node": 35.0}


def test_processes_of_one_name_count_together_and_one_that_has_gone_counts_nothing() -> None:
    found = {10: cpu_time.Process(1, 1.0, 0.0), 11: cpu_time.Process(1, 2.0, 0.0)}
    assert cpu_time.by_root(found, {10: "node", 11: "node", 12: "recorder"}) == {"node": 3.0, "recorder": 0.0}


def test_what_was_spent_is_a_difference_and_what_is_new_counts_whole() -> None:
    assert cpu_time.spent({"node": 5.0}, {"node": 7.0, "agents": 3.0}) == {"node": 2.0, "agents": 3.0}


def test_the_name_of_a_command_does_not_confuse_the_reading_of_its_times() -> None:
    fields = ["S", "77", *(str(number) for number in range(9)), "900", "901", "30", "12", "20", "0", "1"]
    parent, ended_us = cpu_time.parse_stat(f"5 (a) b (c) {' '.join(fields)}")
    assert parent == 77
    assert ended_us == 42e6 / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("text", "path", "key"),
    [
        ("9:cpuset:/x\n5:cpuacct:/docker/ab\n0::/\n", "cpuacct/docker/ab/cpuacct.usage", ""),
        ("5:cpu,cpuacct:/docker/ab\n", "cpu,cpuacct/docker/ab/cpuacct.usage", ""),
        ("0::/system.slice/docker-ab.scope\n", "system.slice/docker-ab.scope/cpu.stat", "usage_usec"),
    ],
)
def test_a_control_group_is_found_in_either_version(text: str, path: str, key: str) -> None:
    assert cpu_time.usage(text, Path("/c")) == cpu_time.Usage(Path("/c") / path, key)


def test_both_versions_are_read_in_microseconds(tmp_path: Path) -> None:
    (tmp_path / "cpuacct.usage").write_text("12500\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 40\nuser_usec 30\nsystem_usec 10\n")
    assert cpu_time.read_us(cpu_time.Usage(tmp_path / "cpuacct.usage", "")) == 12.5
    assert cpu_time.read_us(cpu_time.Usage(tmp_path / "cpu.stat", "usage_usec")) == 40


def test_what_a_process_and_its_ended_child_used_is_seen() -> None:
    meter = cpu_time.Tree({os.getpid(): "we"})
    before = meter.us()
    subprocess.run([sys.executable, "-c", _BURN], check=True)
    assert cpu_time.spent(before, meter.us())["we"] >= 90_000
