"""Folders of functions with what their requirements.txt asks for beside their code, as a build makes them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import uv


def installed(source: Path, cache: Path) -> Path:
    """The function's folder with its requirements beside its code, made once per content.

    Safe when several test processes ask at once: the first complete folder wins.
    """
    target = cache / f"{source.name}-{digest(source)}"
    if target.is_dir():
        return target
    building = cache / f".{source.name}-{uuid.uuid4().hex}"
    shutil.copytree(source, building, ignore=shutil.ignore_patterns("__pycache__"))
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, "--only-binary", ":all:"]
    command += ["--compile-bytecode", "--target", str(building), "-r", str(source / "requirements.txt")]
    subprocess.run(command, check=True)
    try:
        os.rename(building, target)
    except OSError:
        shutil.rmtree(building)
    return target


def digest(source: Path) -> str:
    """What tells one content of a folder from another, for this Python."""
    found = hashlib.sha256(sys.version.encode())
    for path in sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        found.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]
