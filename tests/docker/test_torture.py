"""A short torture with a fixed seed; `make torture` is the long one."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.docker

ANY_TIME_S = "1000"


def test_nothing_is_lost_doubled_or_left_whatever_breaks_meanwhile() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.torture", "--minutes", "0.6", "--seed", "5"),
            *("--clients", "3", "--recovers-within", ANY_TIME_S),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "violations: 0" in done.stdout
