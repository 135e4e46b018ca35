"""Where builds keep things under the data directory, and the locks that processes hold on them.

::

    builds/<deployment>/     request.json, <n>.tar, lock, pending.json, work/: gone when the deployment has ended
    cache/layers/<key>/      installed requirements, compiled
    cache/downloads/         what the next build need not download again; the build that uses it has it for itself
    cache/bundles/<key>      which artifact these files and this layer gave
    cache/sources/<key>      which artifact the tar of this SHA-256 gave
    cache/locks/             files that are only ever locked

Locks are the kernel's (flock), so a killed process holds none.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from faas.core import ids
from faas.core.processes import locks


class BuildFolders(msgspec.Struct, frozen=True):
    """The folders of one data directory."""

    root: Path

    @property
    def deployments(self) -> Path:
        """One folder for each deployment that has not ended."""
        return self.root / "builds"

    def deployment(self, id: str) -> Path:
        """The folder of a deployment. Raises `ValueError` for what is no id of one: it could name any folder."""
        if not ids.is_id(id):
            raise ValueError(f"{id[:80]!r} is no id of a deployment")
        return self.deployments / id

    @property
    def layers(self) -> Path:
        """Installed requirements by key."""
        return self.root / "cache" / "layers"

    @property
    def downloads(self) -> Path:
        """What was downloaded, while no build uses it."""
        return self.root / "cache" / "downloads"

    @property
    def bundles(self) -> Path:
        """Notes of artifacts by what files they hold."""
        return self.root / "cache" / "bundles"

    @property
    def sources(self) -> Path:
        """Notes of artifacts by what was uploaded."""
        return self.root / "cache" / "sources"

    def lock(self, kind: str, name: str) -> Path:
        """The file to lock for a thing. Few files serve all names, so two things may share one.

        A deployment holds those of all its functions and artifacts at once, so they have to be fewer than the files
        that a process may have open.
        """
        return self.root / "cache" / "locks" / f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:2]}"


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock on a file, waiting for it; the open descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not inherited: a program that a build starts would hold the lock after the build has ended.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock on a file if nobody else does; whether it is held."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # the folder has gone meanwhile
        yield False
        return
    try:
        yield locks.taken(descriptor)
    finally:
        os.close(descriptor)
