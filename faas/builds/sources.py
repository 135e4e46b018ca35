"""Uploaded sources on disk: read and unpacked once, however many functions share them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from faas import artifacts
from faas.core import errors, groups, model

_TAR = re.compile(r"[0-9]{1,6}\.tar")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An unpacked source folder and the digest of what it holds (names, contents, executable bits)."""

    folder: Path
    digest: str
    bytes: int


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A source as it came: the tar, which is None when it was not sent, and the SHA-256 of its bytes."""

    tar: Path | None
    sha256: str


class Sources:
    """Unpacks the tars of one deployment into its work folder."""

    def __init__(self, work: Path, building: groups.Building) -> None:
        self._work = work
        self._limits = artifacts.ArchiveLimits(
            max_bytes=building.max_artifact_bytes, max_entries=building.max_source_files
        )
        self._uploads: dict[Path, Upload] = {}
        self._unpacked: dict[Path, Source] = {}

    def of(self, function: model.FunctionSpec, folder: Path, tars: Mapping[str, str]) -> Upload:
        """A function's source: of the ``tars`` in a folder, or one that was not sent and that the function names."""
        name = tars.get(function.name)
        if name is None:
            return Upload(tar=None, sha256=function.source)
        if _TAR.fullmatch(name) is None:
            raise errors.BadRequest(f"{name[:80]!r} is no source of a deployment")
        tar = folder / name
        if tar not in self._uploads:
            with tar.open("rb") as file:
                self._uploads[tar] = Upload(tar=tar, sha256=hashlib.file_digest(file, "sha256").hexdigest())
        return self._uploads[tar]

    def unpack(self, upload: Upload) -> Source:
        """Raises `errors.BadRequest`, `errors.TooLarge`, `errors.Unavailable` (a full disk), `errors.SourceMissing`."""
        tar = upload.tar
        if tar is None:
            raise missing([upload.sha256])
        if tar not in self._unpacked:
            folder = self._work / f"source-{len(self._unpacked)}"
            folder.mkdir(parents=True)
            with artifacts.out_of_space(), tar.open("rb") as file:
                size = artifacts.extract(file, folder, self._limits)
            self._unpacked[tar] = Source(folder=folder, digest=_digest(folder), bytes=size)
        return self._unpacked[tar]


def missing(sha256: Sequence[str]) -> errors.SourceMissing:
    """The error that asks for the tars that were not sent."""
    hint = "send them as parts of the deployment; `faas deploy` does so when it is run again"
    return errors.SourceMissing(f"there is no source {', '.join(sha256)}", hint=hint, missing=list(sha256))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    # The order of a folder's names is the file system's.
    for path in sorted(folder.rglob("*")):
        # All of a mode that matters inside a sandbox; an umask of whoever packed it makes no other revision.
        kind = "d" if path.is_dir() else "x" if path.stat().st_mode & 0o100 else "f"
        digest.update(f"{kind}\0{path.relative_to(folder).as_posix()}\0".encode())
        if kind != "d":
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
