"""Packages for Python, installed by uv: wheels only, since building a package would run its code.

They are found again by the requirements' own text (comments do not count), the wheels of the source folder that they
name and the Python that they are for. Unpinned requirements therefore stay at the versions of the first deploy until
their layer has not been used for a month, or the file changes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import ssl
import sys
from pathlib import Path

import msgspec
import uv

from faas.core import errors
from faas.runtimes import bounds, children
from faas.runtimes.python import bytecode, clean, complaints, requirements, wheels
from faas.runtimes.python import target as targets

_FORMAT = 2
_MEMORY_MB = children.MEMORY_BYTES // 1024**2
# SIGABRT and SIGKILL, as `subprocess` tells them, and as a shell does (128 and the signal).
_ENDED_FOR_MEMORY = (-6, -9, 134, 137)
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
        wheels = [_sha256(self._source / wheel) for wheel in asked.wheels]
        lines = [[line.text for line in lines] for lines in (asked.lines, asked.constraints)]
        # A host without that version of Python installs without bytecode: another layer than one with it.
        compiled = bytecode.compiler(self._target.python) is not None
        made_from = [_FORMAT, lines, asked.options, wheels, self._target, compiled]
        return hashlib.sha256(msgspec.json.encode(made_from)).hexdigest()

    def install(self, files: Path, work: Path, programs: children.Programs) -> list[str]:
        """See `port.Packages.install`."""
        wheels.check(self._source, self._asked.wheels, programs.bound)
        ended = programs.run(self._job(files, work))
        if ended.code != 0:
            raise self._failed(ended, work, programs.bound)
        # Before it is compiled and packed: a wheel of the source may have pulled in a file of this machine by its path.
        clean.check_origins(files, self._source)
        clean.clean(files)
        bytecode.compile_tree(files, self._target.python, programs)
        return _INSTALLED.findall(ended.stderr)

    def _job(self, files: Path, work: Path) -> children.Program:
        asked = work / "asked"
        asked.mkdir()
        wanted, limits = asked / "requirements.txt", asked / "constraints.txt"
        wanted.write_text("".join(f"{line.text}\n" for line in self._asked.lines))
        limits.write_text("".join(f"{line.text}\n" for line in self._asked.constraints))
        downloads = work / "downloads"
        downloads.mkdir(exist_ok=True)
        command = _command(self._asked.options, self._target, files, wanted, limits, downloads)
        return children.Program(
            command=command,
            cwd=self._source,
            env={**_environment(), "TMPDIR": str(downloads)},
            fills=(files,),
            caches=(downloads,),
            reads=(self._source, asked),
            network=True,
        )

    def _failed(self, ended: children.ProgramEnd, work: Path, bound: bounds.Bound) -> errors.FaasError:
        if "File too large" in ended.stderr:  # what RLIMIT_FSIZE says
            return bound.passed("one file of the requirements is larger than all may be together")
        # What a shell and `timeout` say of a program that cannot be run, or is not there.
        if ended.code in (126, 127):
            return errors.Unavailable(
                "the base image cannot run the program that installs packages",
                hint="it needs glibc and `timeout`; build_place in the settings says where packages are installed",
            )
        if ended.code in _ENDED_FOR_MEMORY or "memory allocation of" in ended.stderr:
            return errors.BuildFailed(
                f"{self._asked.file}: installing took more memory than the {_MEMORY_MB} MB that a build may have",
                hint="is one of the requirements or its index damaged?",
                file=self._asked.file,
            )
        places = (str(work), str(self._source), str(Path.home()))
        return complaints.explain(ended.stderr, self._asked, self._target, places)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _command(
    options: tuple[str, ...], target: targets.Target, files: Path, wanted: Path, limits: Path, downloads: Path
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
        *("--python-version", target.python),
        *("--python-platform", target.platform),
        *("--target", str(files)),
        *("-r", str(wanted)),
        *("-c", str(limits)),
        *("--cache-dir", str(downloads)),
        *options,
    ]


def _environment() -> dict[str, str]:
    """uv takes proxies, certificates and the operator's own configuration from the environment.

    What would let it build packages, or belongs to this process's own virtual environment, is left out.
    """
    left_out = re.compile(r"FAAS_.*|UV_NO_BINARY.*|UV_NO_BUILD.*|UV_TARGET|UV_PYTHON.*|VIRTUAL_ENV|PYTHON.*")
    return {name: value for name, value in os.environ.items() if not left_out.fullmatch(name)}
