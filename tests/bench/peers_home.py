"""Where the programs that the platform is compared with are installed: a virtual environment of the benchmark's own.

They are no dependencies of the project, so they stay out of its environment; their versions stand in
``peers/requirements.txt``.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tests.bench import processes

SOURCES = Path(__file__).with_name("peers")
_REQUIREMENTS = SOURCES / "requirements.txt"
_HOME = Path("build/bench")


def ensure() -> Path:
    """The folder of their commands, installed first if need be."""
    commands = (_HOME / "bin").absolute()
    stamp = _HOME / "installed"
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        processes.output([sys.executable, "-m", "venv", "--clear", str(_HOME)])
        processes.output([str(commands / "python"), "-m", "pip", "install", "--quiet", "-r", str(_REQUIREMENTS)])
        stamp.write_text(wanted)
    return commands


def own_command(name: str) -> str:
    """A command of the project's own environment."""
    return str(Path(sys.executable).with_name(name))
