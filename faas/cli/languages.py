"""The languages that this platform knows. One more is one line here."""

from __future__ import annotations

from pathlib import Path

from faas.runtimes import table
from faas.runtimes.python import runtime as python
from runners import agent

_AGENTS = Path(agent.__path__[0])


def known(base_image: str) -> table.Runtimes:
    """All languages; the first is the one of which a node always has sandboxes in stock."""
    return table.Runtimes((python.Python(_AGENTS / "python", base_image),))
