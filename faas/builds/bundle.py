"""From a function's source to its artifact: packages, compilation, one reproducible bundle."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from faas import artifacts
from faas.builds import folders, layers, notes, progress, runtimes, sources
from faas.core import errors, model
from faas.runtimes import children

# A part of every key: with another number nothing that was built before is found.
_FORMAT = 1


class BundleOrder(msgspec.Struct, frozen=True):
    """One artifact that is wanted: of which code for which runtime, and with what it is made.

    ``work`` is a folder that goes when the deployment ends, and ``programs`` run what the runtime needs.
    """

    function: model.FunctionSpec
    source: sources.Source
    runtime: runtimes.Available
    work: Path
    steps: progress.Progress
    programs: children.Programs


class Bundler:
    """Makes artifacts. What the same source, requirements and runtime gave before is found again.

    It is found by the SHA-256 of the tar before anything is unpacked; and by the files, when only their tar differs.
    """

    def __init__(self, places: folders.BuildFolders, store: artifacts.Artifacts, max_bytes: int) -> None:
        self._places = places
        self._store = store
        self._layers = layers.Layers(places)
        self._of_files = notes.Notes(places.bundles, store)
        self._of_tars = notes.Notes(places.sources, store)
        self._max_bytes = max_bytes

    def known(self, function: model.FunctionSpec, sha256: str, runtime: runtimes.Available) -> str | None:
        """The digest of the artifact that a tar of this SHA-256 gave before."""
        note = self._of_tars.find(_tar_key(function, sha256, runtime))
        if note is None:
            return None
        if note.layer is not None:
            # An artifact has the layer's files in it, but the next change of the code will want the layer.
            self._layers.keep(note.layer)
        return note.artifact

    def bundle(self, order: BundleOrder) -> notes.Note:
        """The artifact, and its layer. Raises `errors.BuildFailed` in the user's words, `errors.Unavailable`."""
        layer = self._resolve(order)
        key = _key(order.source, layer, order.runtime)
        # Of two deploys of the same files one compiles, and the other finds what it made.
        with folders.held(self._places.lock("bundle", key)):
            known = self._of_files.find(key)
            if known is not None:
                order.steps.skip({(order.function.name, step): "unchanged" for step in ("compile", "pack")})
                return known
            folder = self._compile(order)
            with order.steps.step(order.function.name, "pack") as note:
                made = notes.Note(
                    self._pack([layer.folder, folder] if layer else [folder], note), layer.key if layer else None
                )
                self._of_files.write(key, made)
                return made

    def remember(
        self, function: model.FunctionSpec, sha256: str, runtime: runtimes.Available, made: notes.Note
    ) -> None:
        """Let `known` find what a tar gave. Raises `errors.Unavailable` when the disk is full."""
        self._of_tars.write(_tar_key(function, sha256, runtime), made)

    def _resolve(self, order: BundleOrder) -> layers.Layer | None:
        if order.function.requirements is None:
            order.steps.skip({(order.function.name, "resolve"): "no requirements"})
            return None
        with order.steps.step(order.function.name, "resolve") as note:
            asked = order.runtime.runtime.build.packages(
                order.source.folder, order.function.requirements, order.runtime.has
            )
            layer = self._layers.layer(asked, order.work, order.programs)
            note(f"{len(layer.packages)} packages{', cached' if layer.cached else ''}")
            return layer

    def _compile(self, order: BundleOrder) -> Path:
        """A copy of the source, compiled: functions that share a source may have different runtimes."""
        with order.steps.step(order.function.name, "compile") as note, artifacts.out_of_space():
            folder = Path(tempfile.mkdtemp(prefix="compiled-", dir=order.work))
            # Links, as compiling adds files and changes none.
            shutil.copytree(order.source.folder, folder, dirs_exist_ok=True, copy_function=os.link)
            compiled = order.runtime.runtime.build.compile(order.function, folder, order.runtime.has, order.programs)
            note(compiled.note)
            if compiled.fault is not None:
                raise compiled.fault
            for remark in compiled.remarks:
                note(remark)
            return folder

    def _pack(self, parts: list[Path], note: Callable[[str], None]) -> str:
        _check_size(parts, self._max_bytes)
        digest, path = self._store.pack(*parts)
        note(f"{_mb(path.stat().st_size)}, sha256 {digest[:12]}")
        return digest

    def sweep(self) -> None:
        """Remove layers long unused, and notes of artifacts that have gone."""
        self._layers.sweep()
        self.forget_removed()

    def forget_removed(self) -> None:
        """Remove the notes of artifacts that have gone."""
        for found in (self._of_files, self._of_tars):
            found.forget_removed()


def _key(source: sources.Source, layer: layers.Layer | None, runtime: runtimes.Available) -> str:
    compiled = runtime.runtime.build.key(runtime.has)
    made_from = [_FORMAT, source.digest, layer.key if layer else None, runtime.name, compiled]
    return hashlib.sha256(msgspec.json.encode(made_from)).hexdigest()


def _tar_key(function: model.FunctionSpec, sha256: str, runtime: runtimes.Available) -> str:
    compiled = runtime.runtime.build.key(runtime.has)
    made_from = [_FORMAT, sha256, function.requirements, runtime.has, compiled]
    return hashlib.sha256(msgspec.json.encode(made_from)).hexdigest()


def _check_size(parts: list[Path], max_bytes: int) -> None:
    sizes: Counter[str] = Counter()
    for part in parts:
        for path in part.rglob("*"):
            if path.is_file():
                sizes[path.relative_to(part).parts[0]] += path.stat().st_size
    total = sum(sizes.values())
    if total > max_bytes:
        largest = ", ".join(f"{name} {_mb(size)}" for name, size in sizes.most_common(3))
        raise errors.TooLarge(
            f"the function is {_mb(total)} with its requirements, over {_mb(max_bytes)}; most of it: {largest}",
            hint="fewer requirements, or a larger max_artifact_bytes in the settings",
            limit=max_bytes,
        )


def _mb(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB"
