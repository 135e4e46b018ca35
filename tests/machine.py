"""What something was measured on: the facts of this machine that it may depend on."""

from __future__ import annotations

import os
import platform
import re
import subprocess


def facts() -> dict[str, str]:
    """Processors, kernel, Python and Docker."""
    return {
        "processors": str(os.cpu_count()),
        platform.system(): number(platform.release()),
        "Python": platform.python_version(),
        "Docker": _docker(),
    }


def number(whole: str) -> str:
    """The number of a version, without what a distribution puts behind it."""
    found = re.match(r"[\d.]*\d", whole)
    return found[0] if found else whole


def _docker() -> str:
    made = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False
    )
    return number(made.stdout.strip()) or "none"
