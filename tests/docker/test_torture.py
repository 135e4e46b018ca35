"""The torture in short: a minute of work in real containers while things are killed, paused and filled."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.docker


def test_a_seeded_minute_of_faults_breaks_no_promise() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.torture",
        "--minutes",
        "0.7",
        "--seed",
        "5",
        "--every",
        "4",
        "--clients",
        "4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert "violations 0" in done.stdout
