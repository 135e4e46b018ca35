"""The queue's scripts run on every Redis that serves, of which the tests have one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "faas/queue/scripts").glob("*.lua"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_takes_a_sum_away_by_its_sign(script: Path) -> None:
    """Of a sum that is nothing ``-sum`` is -0, which Redis 7.0 takes for no integer: then it is ``0 - sum``."""
    assert not re.findall(r"INCRBY'.*, -[a-z_]+\b", script.read_text())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_no_script_needs_what_only_later_servers_have(script: Path) -> None:
    assert len(re.findall(r"\bos\.", script.read_text())) == len(
        re.findall(r"pcall\(function\(\) return os\.clock end\)", script.read_text())
    )
