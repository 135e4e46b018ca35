"""One child process of `faas up`: started with its log and its ready pipe, watched, and started again when it dies.

The life of a child::

    starting ──ready──► ready ──exit──► waiting ──delay──► starting
        └──────────exit (after the first time it was ready)──▲
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from faas.cli import log_format
from faas.core import errors
from faas.core.processes import tether
from faas.core.values import unreadable

_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_STEADY_AFTER_S = 10.0
_TAIL_BYTES = 8_192


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. ``command`` gets the flag ``--ready-fd N`` and writes one line of JSON there once it serves.

    ``phase`` orders the end: lower phases are stopped, and have gone, before the next is asked to stop.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    phase: int


def delay_s(failures: int) -> float:
    """How long to wait before the next start after so many deaths in a row: doubling, at most 5 s."""
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(failures - 1, 30))


def deaths_in_a_row(before: int, lived_s: float) -> int:
    """How many there are with that of a process that was ready for ``lived_s``: after 10 s none before it counts."""
    return 1 if lived_s > _STEADY_AFTER_S else before + 1


class Child:
    """Keeps one process running from `start` until `stop`. Use it from the main thread's event loop."""

    def __init__(self, spec: ChildSpec, logs: Path, on_change: Callable[[], None] = lambda: None) -> None:
        self.spec = spec
        self.log_path = logs / f"{spec.name}.log"
        self.restarts = 0
        self.info: dict[str, Any] = {}
        self._on_change = on_change
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises `errors.Unavailable` with its last words when it dies first."""
        ready = await self._launch()
        if ready is None:
            code = await self._ended()
            raise errors.Unavailable(
                f"{self.spec.name} did not start: {self._last_words() or describe(code)}",
                hint=f"its log is {self.log_path}",
            )
        self.info = ready
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.spec.name}")

    async def stop(self, within_s: float) -> None:
        """Ask it to end, and end it by force after ``within_s``. Safe to call twice."""
        # Set first, so that its end is not taken for a death.
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._ended(), within_s)
        except TimeoutError:
            _log.warning("process_killed", extra={"kept": self.spec.name, "after_s": within_s})
            self.kill()
            await self._ended()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    def kill(self) -> None:
        """End it at once."""
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _keep(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._ended()
            if self._stopping.is_set():
                return
            failures = deaths_in_a_row(failures, loop.time() - began)
            wait_s = delay_s(failures)
            _log.warning(
                "process_ended", extra={"kept": self.spec.name, "code": describe(code), "starts_again_in_s": wait_s}
            )
            with contextlib.suppress(TimeoutError):
                # The wait is cut short by a stop; where the time is up, it is not stopping.
                await asyncio.wait_for(self._stopping.wait(), wait_s)
                return
            self.restarts += 1
            try:
                ready = await self._launch()
            except errors.Unavailable as error:  # the log cannot be opened on a full disk: the delay goes on growing
                _log.error("process_does_not_start", extra={"kept": self.spec.name, "reason": error.message})
                continue
            self.info = ready if ready is not None else self.info
            self._on_change()

    async def _launch(self) -> dict[str, Any] | None:
        """Start the process and wait for its line; None when it ended (or was told to) before it wrote one."""
        reading, writing = os.pipe()
        try:
            self._spawn(writing)
        except OSError as error:
            os.close(reading)
            raise errors.Unavailable(f"{self.spec.name} did not start: {error}") from error
        finally:
            os.close(writing)
        return await read_ready(reading)

    def _spawn(self, ready: int) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                tether.tethered([*self.spec.command, "--ready-fd", str(ready)]),
                env=dict(self.spec.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(ready,),
                # Ctrl-C reaches all of a terminal's foreground: the tree is to end in its order, and not at once.
                start_new_session=True,
            )

    async def _ended(self) -> int:
        return 0 if self._process is None else await tether.exited(self._process)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _last_words(self) -> str:
        with self.log_path.open("rb") as log:
            # From the end: a log may have a hundred megabytes.
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
        told = [line for line in lines if line]
        # What it said to a person is better than the last line of a log.
        errors_told = [line.removeprefix("faas: ") for line in told if line.startswith("faas: ")]
        return log_format.words((errors_told or told or [""])[-1])


async def read_ready(descriptor: int) -> dict[str, Any] | None:
    """The one line of JSON that comes through a ready pipe, or None when its other end closed without one.

    Takes over the descriptor.
    """
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        line = await reader.readline()
    finally:
        transport.close()
    try:
        return msgspec.json.decode(line, type=dict[str, Any]) if line.endswith(b"\n") else None
    except unreadable.ERRORS:
        return None


def describe(code: int) -> str:
    """A return code in words: ``exit 9``, ``SIGKILL``."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
