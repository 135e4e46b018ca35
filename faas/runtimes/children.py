"""Programs that a build runs: bounded in time, memory and disk, and gone when the build is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import msgspec

from faas.core import clock, errors
from faas.core.processes import tether
from faas.runtimes import bounds

_LOOK_EVERY_S = 0.05
_MOST_SAID = 1024 * 1024
MEMORY_BYTES = 3 * 1024**3
"""What a program of a build may have; uv takes some 200 MB."""

# The program cannot raise its limits again, gains nothing by setuid programs, and is root, if we are, in name only:
# without capabilities, whose numbers end below 64.
_LIMIT = """
import json, os, resource, sys
for name, most in json.loads(sys.argv[1]).items():
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))
import ctypes
prctl = ctypes.CDLL(None).prctl
for capability in range(64):
    prctl(24, capability, 0, 0, 0)
prctl(38, 1, 0, 0, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ProgramEnd(msgspec.Struct, frozen=True):
    """How a program ended and what it said (the last of it, when it said much)."""

    code: int
    stdout: str
    stderr: str


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run. ``fills`` and ``caches`` are the folders that it may write to (see `bounds.Bound`),
    ``reads`` what else it reads of ours.

    ``network`` says whether it has to reach anything.
    """

    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    stdin: str = ""
    fills: tuple[Path, ...] = ()
    caches: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    network: bool = False


class RunningProgram(Protocol):
    """A program that runs."""

    def ended(self, within_s: float) -> ProgramEnd | None:
        """How it ended; None when it has not after ``within_s``."""

    def kill(self) -> None:
        """End it and all that it started, and forget it. Safe to call twice, and when it has ended."""


class ProgramPlace(Protocol):
    """Where programs of builds run."""

    def start(self, job: Program, bound: bounds.Bound, longest_s: float) -> RunningProgram:
        """Start a program. It is ended after ``longest_s`` also when we have gone. Raises `errors.Unavailable`."""


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


class Programs:
    """Runs the programs of one function's build: until its deadline, within its bound, in a place."""

    def __init__(self, deadline: Deadline, bound: bounds.Bound, place: ProgramPlace | None = None) -> None:
        self.bound = bound
        self._deadline = deadline
        self._place = place or Here()

    def run(self, job: Program) -> ProgramEnd:
        """Run a program to its end.

        Raises `errors.BuildFailed` when the deadline passes first and `errors.TooLarge` when it fills its folders past
        the bound; then it is killed.
        """
        bound = msgspec.structs.replace(self.bound, places=job.fills, caches=job.caches)
        left_s = self._deadline.left_s()
        running = self._place.start(job, bound, left_s)
        try:
            wait_s = _LOOK_EVERY_S
            while (ended := running.ended(min(wait_s, self._deadline.left_s()))) is None:
                began = clock.steady_s()
                bound.check()
                # Many files take long to look at: no more than a third of a processor goes into that.
                wait_s = max(_LOOK_EVERY_S, 2 * (clock.steady_s() - began))
            # Once more at its end: a program may have filled the disk since the last look.
            bound.check()
            return ended
        finally:
            running.kill()


class Here:
    """A `ProgramPlace`: a process of this machine and user, with limits that it cannot raise."""

    def start(self, job: Program, bound: bounds.Bound, longest_s: float) -> RunningProgram:
        """See `ProgramPlace.start`."""
        limits = {
            "RLIMIT_FSIZE": bound.file_bytes,
            "RLIMIT_DATA": MEMORY_BYTES,
            "RLIMIT_CORE": 0,
            # Processor time of all its threads: the deadline ends it sooner, unless we are gone by then.
            "RLIMIT_CPU": int(longest_s * 2) + 1,
        }
        limited = [sys.executable, "-I", "-S", "-c", _LIMIT, msgspec.json.encode(limits).decode(), *job.command]
        return _Child(tether.tethered(limited), job)


class _Child:
    def __init__(self, command: Sequence[str], job: Program) -> None:
        # Closed by `kill`: what is said goes to files, so that no program waits for us to read it.
        self._said: tuple[IO[bytes], IO[bytes]] = (tempfile.TemporaryFile(), tempfile.TemporaryFile())  # noqa: SIM115
        with tempfile.TemporaryFile() as stdin:
            stdin.write(job.stdin.encode())
            stdin.seek(0)
            self._process = subprocess.Popen(
                command, cwd=job.cwd, env=dict(job.env), stdin=stdin, stdout=self._said[0], stderr=self._said[1]
            )

    def ended(self, within_s: float) -> ProgramEnd | None:
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None
        return ProgramEnd(code, *(_last(file) for file in self._said))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for file in self._said:
            file.close()


def _last(file: IO[bytes]) -> str:
    size = file.seek(0, 2)
    file.seek(max(0, size - _MOST_SAID))
    return file.read().decode(errors="replace")
