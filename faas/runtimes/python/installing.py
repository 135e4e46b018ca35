"""Packages for Python, installed by uv: wheels only, since building a package would run its code.

They are found again by the requirements' own text (comments do not count), the wheels of the source folder that they
name and the Python that they are for. Unpinned requirements therefore stay at the versions of the first deploy until
their layer has not been used for a month, or the file changes.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import os
import re
import ssl
import sys
from pathlib import Path

import msgspec
import uv

from faas.runtimes import children
from faas.runtimes.python import bytecode, complaints, requirements
from faas.runtimes.python import target as targets

_FORMAT = 1
_INSTALLED = re.compile(r"^ \+ (\S+)", re.MULTILINE)


class Packages:
    """A `port.Packages`: what a requirements file of the folder ``source`` asks for."""

    def __init__(self, asked: requirements.Requirements, source: Path, target: targets.Target) -> None:
        self._asked = asked
        self._source = source
        self._target = target

    @functools.cached_property
    def key(self) -> str:
        """See `port.Packages.key`."""
        asked = self._asked
        wheels = [hashlib.sha256((self._source / wheel).read_bytes()).hexdigest() for wheel in asked.wheels]
        lines = [[line.text for line in lines] for lines in (asked.lines, asked.constraints)]
        compiled = bytecode.compiler(self._target.python) is not None
        made_from = [_FORMAT, lines, asked.options, wheels, self._target, compiled]
        return hashlib.sha256(msgspec.json.encode(made_from)).hexdigest()

    def install(self, files: Path, work: Path, deadline: children.Deadline) -> list[str]:
        """See `port.Packages.install`."""
        wanted, bounds = work / "requirements.txt", work / "constraints.txt"
        wanted.write_text("".join(f"{line.text}\n" for line in self._asked.lines))
        bounds.write_text("".join(f"{line.text}\n" for line in self._asked.constraints))
        command = _command(self._asked.options, self._target, files, wanted, bounds)
        ended = children.run(command, cwd=self._source, env=_environment(), deadline=deadline)
        wanted.unlink()
        bounds.unlink()
        if ended.code != 0:
            places = (str(work), str(self._source), str(Path.home()))
            raise complaints.explain(ended.stderr, self._asked, self._target, places)
        _clean(files)
        bytecode.compile_tree(files, self._target.python, deadline)
        return _INSTALLED.findall(ended.stderr)


def _command(options: tuple[str, ...], target: targets.Target, files: Path, wanted: Path, bounds: Path) -> list[str]:
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
        *("--python-version", target.python),
        *("--python-platform", target.platform),
        *("--target", str(files)),
        *("-r", str(wanted)),
        *("-c", str(bounds)),
        *options,
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
