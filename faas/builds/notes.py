"""Notes of which artifact was made from what, so that the same input makes none again.

A note is a file that is named by a key of the input and holds the artifact's digest. It counts for as long as the
artifact is there.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import msgspec

from faas import artifacts
from faas.core import clock
from faas.core.values import unreadable

_WRITTEN_WITHIN_S = 3600


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """An artifact, and the key of the layer of requirements in it, if there is one."""

    artifact: str
    layer: str | None = None


_note = msgspec.json.Decoder(Note).decode


class Notes:
    """The notes of one folder. Any number of processes may use it at once."""

    def __init__(self, folder: Path, store: artifacts.Artifacts) -> None:
        self._folder = folder
        self._store = store

    def find(self, key: str) -> Note | None:
        """The note of this input, if its artifact is there."""
        with contextlib.suppress(FileNotFoundError, *unreadable.ERRORS):
            note = _note((self._folder / key).read_bytes())
            if self._store.has(note.artifact):
                return note
        return None

    def write(self, key: str, note: Note) -> None:
        """Keep a note, whole or not at all. Raises `errors.Unavailable` when the disk is full."""
        with artifacts.out_of_space():
            self._folder.mkdir(parents=True, exist_ok=True)
            # Two builds may write the same note; each writes its own, and the last name stays.
            with tempfile.NamedTemporaryFile("wb", dir=self._folder, prefix=".", delete=False) as file:
                file.write(msgspec.json.encode(note))
            Path(file.name).rename(self._folder / key)

    def forget_removed(self) -> None:
        """Remove the notes of artifacts that have gone."""
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            # What begins with a dot is being written by another process, unless that was killed.
            has_gone = _is_old(path) if path.name.startswith(".") else self.find(path.name) is None
            if has_gone:
                path.unlink(missing_ok=True)


def _is_old(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime < clock.now_ms() / 1000 - _WRITTEN_WITHIN_S
    return False
