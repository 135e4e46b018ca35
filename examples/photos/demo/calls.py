"""The two other ways in: one HTTP function called with plain curl, and one timer firing."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from examples.photos.demo import checks, failures, findings, looks, platform, report, watch
from examples.photos.demo.photos import Photo

TIMER = "tally"
_FIRES_WITHIN_S = 60.0


def thumbnail(gateway: str, photo: Photo, target: Path, say: report.Report) -> list[str]:
    """Ask the function `thumb` for one thumbnail, and look at what comes."""
    url = f"{gateway}/thumb/{urllib.parse.quote(photo.name, safe='')}"
    command = ["curl", "--silent", "--show-error", "--fail", "--output", str(target), url]
    say.say(f"$ {shlex.join(command)}")
    if shutil.which("curl"):
        _curl(command)
    else:
        say.say("(there is no curl on this machine: the same request is sent from Python)")
        _fetch(url, target)
    found, size = looks.of_file(target), findings.size([target])
    if found is None or photo.look is None:
        return [f"{url} answered {size:,} bytes that are no image"]
    say.say(f"{size:,} bytes: {found.format}, {found.width} x {found.height} pixels")
    return [f"what {url} answered {fault}" for fault in checks.look_faults(photo.look, found, small=True)]


def _curl(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise failures.Failed(done.stderr.strip() or f"curl ended with exit code {done.returncode}")


def _fetch(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            target.write_bytes(response.read())
    except urllib.error.URLError as error:
        raise failures.Failed(f"{url}: {error}") from error


def timer(own: platform.Platform, say: report.Report) -> None:
    """Wait for the next firing of the timer and show what its function printed."""
    since_ms = int(time.time() * 1000)

    def fired() -> dict[str, Any] | None:
        records = own.ask("records", TIMER, "--status", "ok")
        return next(
            (each for each in records if each["trigger"] == "timer" and each["started_at_ms"] >= since_ms), None
        )

    record = watch.until(fired, f"a firing of the timer of {TIMER}", _FIRES_WITHIN_S)
    at = datetime.fromtimestamp(record["started_at_ms"] / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
    lines = own.ask("logs", "--invocation", record["invocation_id"])
    say.say(f"{at} {TIMER} ran {record['duration_ms']:.2f} ms ({report.start(record['cold_start_kind'])})")
    for line in lines:
        say.say(f"  {line['text']}")
