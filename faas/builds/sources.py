"""Uploaded sources on disk: unpacked once, however many functions share them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from faas import artifacts
from faas.core import settings as settings_module


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An unpacked source folder and the digest of what it holds (names, contents, executable bits)."""

    folder: Path
    digest: str
    bytes: int


class Sources:
    """Unpacks the tars of one deployment into its work folder."""

    def __init__(self, work: Path, settings: settings_module.Settings) -> None:
        self._work = work
        self._limits = artifacts.Limits(max_bytes=settings.max_artifact_bytes, max_entries=settings.max_source_files)
        self._unpacked: dict[Path, Source] = {}

    def unpack(self, tar: Path) -> Source:
        """Raises `errors.BadRequest`, `errors.TooLarge` and `errors.Unavailable` (a full disk)."""
        if tar not in self._unpacked:
            folder = self._work / f"source-{len(self._unpacked)}"
            folder.mkdir(parents=True)
            with artifacts.out_of_space(), tar.open("rb") as file:
                size = artifacts.extract(file, folder, self._limits)
            self._unpacked[tar] = Source(folder=folder, digest=_digest(folder), bytes=size)
        return self._unpacked[tar]


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        kind = "d" if path.is_dir() else "x" if path.stat().st_mode & 0o100 else "f"
        digest.update(f"{kind}\0{path.relative_to(folder).as_posix()}\0".encode())
        if kind != "d":
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
