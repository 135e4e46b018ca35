"""Programs that a build runs: bounded in time, and gone when the build is."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from faas.core import clock, errors, tether


class Ended(msgspec.Struct, frozen=True):
    """How a program ended and what it said."""

    code: int
    stdout: str
    stderr: str


class Deadline:
    """The moment at which a function's build has taken too long."""

    def __init__(self, function: str, seconds: float) -> None:
        self._function = function
        self._seconds = seconds
        self._at = clock.steady_s() + seconds

    def left_s(self) -> float:
        """Seconds left. Raises `errors.BuildFailed` when there are none."""
        left = self._at - clock.steady_s()
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> errors.BuildFailed:
        """The error that says so."""
        return errors.BuildFailed(
            f"{self._function}: the build took longer than {self._seconds:g} s",
            hint="fewer or smaller requirements, or a larger build_timeout_s in the settings",
            function=self._function,
        )


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], deadline: Deadline, stdin: str = "") -> Ended:
    """Run a program to its end. Raises `errors.BuildFailed` when the deadline passes first; then it is killed."""
    try:
        done = subprocess.run(
            tether.tethered(command),
            cwd=cwd,
            env=dict(env),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=deadline.left_s(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise deadline.passed() from error
    return Ended(done.returncode, done.stdout, done.stderr)
