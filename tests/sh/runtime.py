"""Shell scripts as functions: the event comes by stdin, and what the script prints is the result.

A handler ``hello.sh`` is the script of that name in the source. There is nothing to resolve; a build sees to it that
the handler's script is one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from faas.core import errors, model
from faas.runtimes import children, installed, port


class Sh:
    """A `port.Runtime`, whose agent is a small Python program."""

    name = "sh"
    agent = port.Agent(Path(__file__).parent / "agent", "*.py")
    image = port.Image(
        pulled="python:3-slim",
        packages=("python3", "ca-certificates", "tzdata"),
        prepare=("sh", "-c", "command -v python3 >&2 && echo runtime=sh"),
    )

    def __init__(self) -> None:
        self.build = Build()

    def takes(self, asked: str) -> bool:
        return asked == "sh"

    def here(self) -> str | None:
        return "sh"

    def make_ready(self, agent: Path, has: str) -> None:
        pass

    def command(self, agent: str, link: str) -> list[str]:
        return ["python3", "-B", f"{agent}/agent.py", link]

    def command_here(self, agent: str, link: str) -> list[str]:
        return [sys.executable, "-B", f"{agent}/agent.py", link]


class Build:
    """A `port.Build`."""

    def key(self, has: installed.Installed) -> str:
        return ""

    def packages(self, source: Path, file: str, has: installed.Installed) -> port.Packages:
        raise errors.BuildFailed("a script has no requirements", hint="remove `requirements`")

    def compile(
        self, function: model.FunctionSpec, folder: Path, has: installed.Installed, programs: children.Programs
    ) -> port.Compiled:
        script = folder / function.config.handler
        done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)
        said = done.stderr.replace(str(script), function.config.handler).strip()
        fault = errors.BuildFailed(f"{function.name}: {said}") if done.returncode else None
        return port.Compiled(note="one script", fault=fault)
