"""One edge in a process of its own: whatever ends that one is a finding too. Run as a module, this is that process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import msgspec
import uvloop

from tests.fuzz import catalog, running

_MARGIN_S = 300.0


def run(name: str, seed: int, until: running.Until, within_s: float) -> running.Report:
    """Run an edge, which has so much time at most (and a margin)."""
    with tempfile.TemporaryDirectory(prefix="faas-fuzz-report-") as folder:
        told = Path(folder) / "report"
        asked = (name, str(seed), str(until.seconds), str(until.inputs), str(told))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.apart", *asked],
                stderr=subprocess.PIPE,
                check=False,
                timeout=within_s + _MARGIN_S,
            )
            why = f"exit status {done.returncode}\n{done.stderr.decode(errors='replace')[-6_000:]}"
        except subprocess.TimeoutExpired:
            why = "it does not end"
        if told.exists():
            return msgspec.msgpack.decode(told.read_bytes(), type=running.Report)
        last = told.with_suffix(".last")
        given = last.read_bytes() if last.exists() else b""
        return running.Report(name, findings=[running.Finding(name, "the process ended", why, given)])


def main(name: str, seed: str, seconds: str, inputs: str, told: str) -> None:
    """Run an edge here, and write the report there."""
    warnings.simplefilter("error")
    until = running.Until(seconds=float(seconds), inputs=float(inputs))
    report = uvloop.run(_fuzzed(name, int(seed), until, Path(told).with_suffix(".last")))
    Path(told).write_bytes(msgspec.msgpack.encode(report))


async def _fuzzed(name: str, seed: int, until: running.Until, last: Path) -> running.Report:
    kind = catalog.EDGES[name]
    async with catalog.around(kind) as given:
        return await running.run(kind(), given, seed, until, last)


if __name__ == "__main__":
    main(*sys.argv[1:])
