"""What of a source folder is not sent, and why.

::

    secrets, keys, virtual environments      never, whatever any file says
    .faasignore, then .gitignore             the last pattern that fits decides; `!name` takes back
    copied out of a bucket by `faas cp`      unless it was changed since
    what tools leave behind (`TOOLS`)        the rest is sent

Both files count in the project's folder and in every folder of the source, each for what is below it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from faas.core.objects import globs
from faas.core.values import texts

COPIED_ATTRIBUTE = "user.faas.copied"
"""Extended attribute of a file that `faas cp` wrote: its time of change and size then."""

TOOLS = (
    ".git", ".hg", ".svn", ".bzr", ".jj", "CVS/", ".gitignore", ".gitattributes", ".gitmodules", ".faasignore",
    "__pycache__", "*.py[co]", ".venv", "venv", "__pypackages__", "node_modules", ".faas", ".mypy_cache",
    ".ruff_cache", ".pytest_cache", ".hypothesis", ".tox", ".nox", ".idea", ".vscode", ".DS_Store", ".cache/",
    ".coverage", "htmlcov/", ".ipynb_checkpoints", ".eggs/", ".direnv", ".pixi", ".terraform", ".serverless",
    ".aws-sam", ".gradle", ".parcel-cache", "*.log", "nohup.out", "*.cdx.json", "*~", "*.tmp", "*.sw[op]",
)  # fmt: skip
"""Patterns of what version control, editors, caches and our own commands leave in a folder."""

SECRETS = (
    ".env", ".env.*", "*.env", "!.env.example", "!.env.sample", "!.env.template", "!.env.dist", "!example.env",
    "!sample.env", ".envrc", ".netrc", "_netrc", ".pgpass", ".my.cnf", ".npmrc", ".pypirc", ".htpasswd",
    ".git-credentials", ".boto", ".s3cfg", ".aws/", ".azure/", ".ssh/", ".gnupg/", ".kube/", ".docker/", "*.tfstate",
    "*.tfstate.*", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks",
    "*.keystore", "*.kdbx", "*.ovpn",
)  # fmt: skip
"""Patterns of what holds passwords, tokens and keys. Values for a function stand in `env` of the manifest."""

_MAY_HOLD_KEYS = (".pem", ".crt", ".cer", ".json", ".txt", ".asc")
_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\\r|\\n|[\r\n]){1,4}(?:[A-Za-z0-9+/=]{20}|[A-Z][a-z]+[-:])"
)
_LOOKED_AT_BYTES = 64 * 1024
_IGNORE_FILES = (".gitignore", ".faasignore")
_MOST_IGNORE_BYTES = 1 << 20

NEVER = "secrets and keys, which never leave"
ENVIRONMENTS = "virtual environments"
COPIED = "copied out of buckets by `faas cp`"
LEFT_BY_TOOLS = "left by tools"


class _Rules(NamedTuple):
    """The patterns of one file, or of a table: for what is below ``base``."""

    base: Path
    reason: str
    patterns: tuple[globs.Pattern, ...]


def _made(texts: tuple[str, ...]) -> tuple[globs.Pattern, ...]:
    return tuple(made for text in texts if (made := globs.pattern(text, any_case=True)) is not None)


_TOOLS, _SECRETS = _made(TOOLS), _made(SECRETS)


class Verdicts:
    """Says of the paths of one source whether they are sent. ``found`` is what was left out, by its reason.

    Walk from the top: what is in a folder that is left out is never asked about.
    """

    def __init__(self, source: Path, project: Path | None) -> None:
        self.found: dict[str, list[str]] = {}
        self._source = source
        self._rules: dict[Path, tuple[_Rules, ...]] = {}
        self._above = _between(project.resolve(), source) if project is not None else []

    def reason(self, path: Path, *, is_folder: bool) -> str | None:
        """Why a path is not sent, which is kept; None when it is sent."""
        reason = self._reason(path, is_folder=is_folder)
        if reason is not None:
            self.found.setdefault(reason, []).append(path.relative_to(self._source).as_posix() + "/" * is_folder)
        return reason

    def _reason(self, path: Path, *, is_folder: bool) -> str | None:
        name = path.name
        secret = globs.deciding(_SECRETS, name, is_folder=is_folder)
        if (secret is not None and not secret.takes_back) or (not is_folder and _holds_a_key(path)):
            return NEVER
        if is_folder and _is_environment(path):
            return ENVIRONMENTS
        said = self._said(path, is_folder=is_folder)
        if said is not None:
            return None if said[1].takes_back else said[0]
        if not is_folder and _was_copied(path):
            return COPIED
        return LEFT_BY_TOOLS if globs.deciding(_TOOLS, name, is_folder=is_folder) is not None else None

    def _said(self, path: Path, *, is_folder: bool) -> tuple[str, globs.Pattern] | None:
        """What the files say of a path: `.faasignore` before `.gitignore`, and the nearest of each first."""
        held = [rules for folder in self._folders(path.parent) for rules in self._of(folder)]
        for file in reversed(_IGNORE_FILES):
            for rules in reversed([each for each in held if each.reason == file]):
                below = path.relative_to(rules.base).as_posix()
                found = globs.deciding(rules.patterns, below, is_folder=is_folder)
                if found is not None:
                    return f"by {file}", found
        return None

    def _folders(self, folder: Path) -> Iterator[Path]:
        yield from self._above
        yield from _between(self._source, folder)
        yield folder

    def _of(self, folder: Path) -> tuple[_Rules, ...]:
        if folder not in self._rules:
            self._rules[folder] = tuple(_read(folder))
        return self._rules[folder]


def _between(top: Path, below: Path) -> list[Path]:
    """``top`` and the folders from there down to ``below``, without that one; nothing when it is elsewhere."""
    if not below.is_relative_to(top) or below == top:
        return []
    return [each for each in reversed(below.parents) if each.is_relative_to(top)]


def _read(folder: Path) -> Iterator[_Rules]:
    for name in _IGNORE_FILES:
        with contextlib.suppress(OSError), (folder / name).open("rb") as file:
            yield _Rules(folder, name, tuple(globs.lines(_text(file.read(_MOST_IGNORE_BYTES)))))


def _text(raw: bytes) -> str:
    try:
        return texts.decoded(raw)
    except UnicodeDecodeError:
        return raw.decode(errors="replace")


def _holds_a_key(path: Path) -> bool:
    """Whether a file that may hold a private key does: certificates alone are sent."""
    # Names without an ending are looked into as well: `id_ed25519`, `server`.
    if not path.name.lower().endswith(_MAY_HOLD_KEYS) and "." in path.name.lstrip("."):
        return False
    try:
        # Not blocking: a pipe would be waited for until somebody writes into it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            return _KEY.search(file.read(_LOOKED_AT_BYTES)) is not None
    except OSError:
        return False  # packing it says what is wrong with it


def _is_environment(folder: Path) -> bool:
    # Not Path.is_file, which raises where the folder may not be entered: packing it says that better.
    return os.path.isfile(folder / "pyvenv.cfg") or os.path.isdir(folder / "conda-meta")  # noqa: PTH112, PTH113


def mark_copied(path: Path) -> None:
    """Note on a file that it came out of a bucket, where the file system takes notes."""
    with contextlib.suppress(OSError):
        os.setxattr(path, COPIED_ATTRIBUTE, _stamp(path))


def _was_copied(path: Path) -> bool:
    try:
        return os.getxattr(path, COPIED_ATTRIBUTE) == _stamp(path)
    except OSError:
        return False


def _stamp(path: Path) -> bytes:
    status = path.stat()
    # Whoever changes the file changes its time: then it is his own.
    return f"{status.st_mtime_ns}-{status.st_size}".encode()


def said(found: Mapping[str, list[str]], most: int = 3) -> list[str]:
    """A line for each reason: ``left out, by .gitignore: build/, notes.txt, x and 3 more``."""
    lines = []
    for reason, names in found.items():
        more = f" and {len(names) - most} more" if len(names) > most else ""
        lines.append(f"left out, {reason}: {', '.join(sorted(names)[:most])}{more}")
    return lines
