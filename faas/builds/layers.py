"""Layers: installed packages, compiled, kept by what they were made from.

What a layer is made from is its language's to say; so a deploy that changed only code installs nothing. A layer that
nothing has used for a month goes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from faas import artifacts
from faas.builds import folders
from faas.runtimes import bounds, children, port

_KEPT_S = 30 * 24 * 3600
_PACKAGES = "packages.txt"
_FILES = "files"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """Installed packages in a folder that is never changed. ``cached`` says that they were there before."""

    key: str
    folder: Path
    packages: tuple[str, ...]
    cached: bool


class Layers:
    """Makes layers and finds those made before."""

    def __init__(self, places: folders.BuildFolders) -> None:
        self._places = places

    def layer(self, asked: port.Packages, work: Path, programs: children.Programs) -> Layer:
        """The layer of these packages. Raises `errors.BuildFailed` in the user's words, `errors.Unavailable`."""
        key = asked.key
        place = self._places.layers / key
        with folders.held(self._places.lock("layer", key)):
            cached = place.is_dir()
            if not cached:
                self._make(asked, work / f"layer-{key}", place, programs)
            # Its time of change says when it was used last; what it holds is never changed.
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

    def _make(self, asked: port.Packages, work: Path, place: Path, programs: children.Programs) -> None:
        made, files = work / "made", work / "made" / _FILES
        files.mkdir(parents=True)
        try:
            with artifacts.out_of_space():
                with self._downloads(work, programs.bound):
                    packages = asked.install(files, work, programs)
                (made / _PACKAGES).write_text("".join(f"{package}\n" for package in packages))
                place.parent.mkdir(parents=True, exist_ok=True)
                # In one step: what has the name is whole.
                made.rename(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @contextlib.contextmanager
    def _downloads(self, work: Path, bound: bounds.Bound) -> Iterator[None]:
        """Lend a build what was downloaded before, as ``work/downloads``. Nothing of a build that fails comes back.

        What a build has is out of the cache until then, so no two builds share it, and a killed one takes it along.
        """
        cache, lent = self._places.downloads, work / "downloads"
        with contextlib.suppress(FileNotFoundError):
            cache.rename(lent)
        yield
        held = bounds.taken(lent, bound.max_bytes, bound.max_files)
        if held.size <= bound.max_bytes and held.files <= bound.max_files:
            with contextlib.suppress(OSError):  # another build has brought its own back meanwhile
                lent.rename(cache)
