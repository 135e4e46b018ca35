"""Layers: installed requirements, compiled, kept by what they were made from.

A layer is found again by the requirements' own text (comments do not count), the wheels of the source folder that they
name and the runtime; so a deploy that changed only code installs nothing. Unpinned requirements therefore stay at the
versions of the first deploy until the layer has not been used for a month, or the file changes.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
import shutil
import ssl
import sys
import time
from pathlib import Path

import msgspec
import uv

from faas import artifacts
from faas.builds import bytecode, children, complaints, folders, requirements, runtimes

_FORMAT = 1
_KEPT_S = 30 * 24 * 3600
_INSTALLED = re.compile(r"^ \+ (\S+)", re.MULTILINE)
_PACKAGES = "packages.txt"
_FILES = "files"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """Installed requirements in a folder that is never changed. ``cached`` says that they were there before."""

    key: str
    folder: Path
    packages: tuple[str, ...]
    cached: bool


class Layers:
    """Makes layers and finds those made before."""

    def __init__(self, places: folders.Folders) -> None:
        self._places = places

    def layer(
        self,
        asked: requirements.Requirements,
        source: Path,
        runtime: runtimes.RuntimeInfo,
        work: Path,
        deadline: children.Deadline,
    ) -> Layer:
        """The layer of these requirements. Raises `errors.BuildFailed` in the user's words, `errors.Unavailable`."""
        key = _key(asked, source, runtime)
        place = self._places.layers / key
        with folders.held(self._places.lock("layer", key)):
            cached = place.is_dir()
            if not cached:
                self._make(asked, source, runtime, work / f"layer-{key}", place, deadline)
            os.utime(place)
        packages = tuple((place / _PACKAGES).read_text().split())
        return Layer(key=key, folder=place / _FILES, packages=packages, cached=cached)

    def keep(self, key: str) -> None:
        """A layer is in use, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._places.layers / key)

    def sweep(self) -> int:
        """Remove layers that nothing has used for a month; how many."""
        before = time.time() - _KEPT_S
        found = self._places.layers.iterdir() if self._places.layers.is_dir() else ()
        stale = [path for path in found if path.stat().st_mtime < before]
        for path in stale:
            with folders.held(self._places.lock("layer", path.name)):
                shutil.rmtree(path, ignore_errors=True)
        return len(stale)

    def _make(
        self,
        asked: requirements.Requirements,
        source: Path,
        runtime: runtimes.RuntimeInfo,
        work: Path,
        place: Path,
        deadline: children.Deadline,
    ) -> None:
        files = work / _FILES
        files.mkdir(parents=True)
        with artifacts.out_of_space():
            packages = _install(asked, source, runtime, work, files, deadline)
            _clean(files)
            bytecode.compile_tree(files, runtime.python, deadline)
            (work / _PACKAGES).write_text("".join(f"{package}\n" for package in packages))
            place.parent.mkdir(parents=True, exist_ok=True)
            work.rename(place)


def _key(asked: requirements.Requirements, source: Path, runtime: runtimes.RuntimeInfo) -> str:
    wheels = [hashlib.sha256((source / wheel).read_bytes()).hexdigest() for wheel in asked.wheels]
    lines = [[line.text for line in lines] for lines in (asked.lines, asked.constraints)]
    made_from = [_FORMAT, lines, asked.options, wheels, runtime, bytecode.compiler(runtime.python) is not None]
    return hashlib.sha256(msgspec.json.encode(made_from)).hexdigest()


def _install(
    asked: requirements.Requirements,
    source: Path,
    runtime: runtimes.RuntimeInfo,
    work: Path,
    target: Path,
    deadline: children.Deadline,
) -> list[str]:
    wanted, bounds = work / "requirements.txt", work / "constraints.txt"
    wanted.write_text("".join(f"{line.text}\n" for line in asked.lines))
    bounds.write_text("".join(f"{line.text}\n" for line in asked.constraints))
    command = _command(asked, runtime, target, wanted, bounds)
    ended = children.run(command, cwd=source, env=_environment(), deadline=deadline)
    wanted.unlink()
    bounds.unlink()
    if ended.code != 0:
        places = (str(work), str(source), str(Path.home()))
        raise complaints.explain(ended.stderr, asked, runtime, places)
    return _INSTALLED.findall(ended.stderr)


def _command(
    asked: requirements.Requirements, runtime: runtimes.RuntimeInfo, target: Path, wanted: Path, bounds: Path
) -> list[str]:
    paths = ssl.get_default_verify_paths()
    # The source folder is where relative paths lead from, but its uv.toml and pyproject.toml must not configure uv.
    fixed = ["--project", "/", "--only-binary", ":all:", "--link-mode", "copy", "--color", "never", "--no-progress"]
    return [
        uv.find_uv_bin(),
        "pip",
        "install",
        *fixed,
        *(["--system-certs"] if paths.cafile or paths.capath else []),
        *("--python", sys.executable, "--no-python-downloads"),
        *("--python-version", runtime.python),
        *("--python-platform", runtime.platform),
        *("--target", str(target)),
        *("-r", str(wanted)),
        *("-c", str(bounds)),
        *asked.options,
    ]


def _environment() -> dict[str, str]:
    """uv takes proxies, certificates and the operator's own configuration from the environment.

    What would let it build packages, or belongs to this process's own virtual environment, is left out.
    """
    left_out = re.compile(r"FAAS_.*|UV_NO_BINARY.*|UV_NO_BUILD.*|UV_TARGET|UV_PYTHON.*|VIRTUAL_ENV|PYTHON.*")
    return {name: value for name, value in os.environ.items() if not left_out.fullmatch(name)}


def _clean(files: Path) -> None:
    """Take away what says on which machine and when the layer was made."""
    (files / ".lock").unlink(missing_ok=True)
    interpreter = os.fsencode(sys.executable)
    scripts = [path for path in (files / "bin").glob("*") if interpreter in _beginning(path)]
    origins = list(files.glob("*.dist-info/direct_url.json"))
    gone = {path.relative_to(files).as_posix() for path in (*scripts, *origins)}
    for path in (*scripts, *origins):
        path.unlink()
    if (files / "bin").is_dir() and not any((files / "bin").iterdir()):
        (files / "bin").rmdir()
    if gone:
        for record in files.glob("*.dist-info/RECORD"):
            _drop_rows(record, gone)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


def _drop_rows(record: Path, gone: set[str]) -> None:
    rows = list(csv.reader(io.StringIO(record.read_text("utf-8"))))
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\n").writerows(row for row in rows if row and row[0] not in gone)
    record.write_text(kept.getvalue(), "utf-8")
