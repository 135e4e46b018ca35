"""Who has a processor first."""

from __future__ import annotations

import os
import subprocess
import sys

_TELLS = """
import os
from faas.core.processes import precedence
before = os.getpriority(os.PRIO_PROCESS, 0)
{}
precedence.come_first()
print(before - os.getpriority(os.PRIO_PROCESS, 0))
"""


def _gained(first: str = "") -> int:
    told = subprocess.run([sys.executable, "-c", _TELLS.format(first)], capture_output=True, check=True, text=True)
    return int(told.stdout)


def test_a_process_of_root_comes_before_others() -> None:
    assert _gained() == (5 if os.getuid() == 0 else 0)


def test_whoever_may_not_goes_on_as_before() -> None:
    assert _gained("os.setuid(65534)" if os.getuid() == 0 else "") == 0
