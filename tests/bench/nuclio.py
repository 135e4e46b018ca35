"""Nuclio's processor as a bare process with Python workers, where a built one is named in ``NUCLIO``.

Building it takes Go and a checkout of Nuclio: ``go build ./cmd/processor``. The workers run Nuclio's
wrapper: the one that ``NUCLIO_PYTHON_WRAPPER_PATH`` names, else ``py/_nuclio_wrapper.py`` beside the processor.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tests.bench import peers_home

WORKERS = 4
NAME = f"Nuclio, {WORKERS} workers"
ABSENT = "note: Nuclio is not measured: no built processor is named in NUCLIO"
_WRAPPER = "NUCLIO_PYTHON_WRAPPER_PATH"


def processor() -> Path | None:
    """The processor that the environment names."""
    named = os.environ.get("NUCLIO")
    return Path(named) if named else None


def command(built: Path, home: Path, port: int) -> list[str]:
    """What starts it on a port of loopback; its configuration is written into a folder first."""
    files = {"processor.yaml": function(port), "platform.yaml": surroundings()}
    for name, content in files.items():
        (home / name).write_bytes(msgspec.json.encode(content))  # JSON is YAML
    return [str(built), "--config", str(home / "processor.yaml"), "--platform-config", str(home / "platform.yaml")]


def environ(built: Path, commands: Path) -> dict[str, str]:
    """What the processor's environment needs to find the wrapper, its interpreter and the function."""
    wrapper = os.environ.get(_WRAPPER, str(built.parent / "py" / "_nuclio_wrapper.py"))
    return {
        _WRAPPER: wrapper,
        "NUCLIO_PYTHON_PATH": str(Path(wrapper).parent),
        "NUCLIO_PYTHON_EXE_PATH": str(commands / "python"),
        "PYTHONPATH": str(peers_home.SOURCES),
    }


def function(port: int) -> object:
    """The configuration of the function and of its one trigger."""
    trigger = {"kind": "http", "url": f"127.0.0.1:{port}", "numWorkers": WORKERS, "maxWorkers": WORKERS}
    spec = {"runtime": "python:3.11", "handler": "nuclio_function:handler", "triggers": {"http": trigger}}
    return {
        "apiVersion": "nuclio.io/v1",
        "kind": "NuclioFunction",
        "metadata": {"name": "greet", "namespace": "nuclio"},
        "spec": spec,
    }


def surroundings() -> object:
    """The configuration of what it is part of: no other server, and a log of what is worth a line, as others keep."""
    binding = [{"level": "info", "sink": "stdout"}]
    return {
        "kind": "local",
        "webAdmin": {"enabled": False},
        "healthCheck": {"enabled": False},
        "logger": {"sinks": {"stdout": {"kind": "stdout"}}, "system": binding, "functions": binding},
    }
