"""Notes of artifacts, which several processes write and forget at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faas import artifacts
from faas.builds import notes


@pytest.fixture
def store(tmp_path: Path) -> artifacts.Artifacts:
    return artifacts.Artifacts(tmp_path)


def test_a_note_counts_as_long_as_its_artifact_is_there(tmp_path: Path, store: artifacts.Artifacts) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "app.py").write_text("x = 1")
    digest, _path = store.pack(tmp_path / "source")
    of_files = notes.Notes(tmp_path / "notes", store)
    of_files.write("there", notes.Note(digest))
    of_files.write("gone", notes.Note("0" * 64))
    assert (of_files.find("there"), of_files.find("gone")) == (notes.Note(digest), None)
    of_files.forget_removed()
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["there"]


def test_a_note_that_another_process_writes_is_left_to_it_and_one_of_a_killed_process_goes(
    tmp_path: Path, store: artifacts.Artifacts
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in (".tmpnow", ".tmplate"):
        (folder / name).write_text("{")
    os.utime(folder / ".tmplate", (1, 1))
    notes.Notes(folder, store).forget_removed()
    assert [path.name for path in folder.iterdir()] == [".tmpnow"]
