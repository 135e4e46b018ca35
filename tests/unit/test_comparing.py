"""What differs between two revisions: files of their bundles, values of their configurations."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import msgspec
import pytest

from faas import artifacts
from faas.api.resources import revisions
from faas.artifacts import comparing
from faas.core import errors, model


def bundle(root: Path, name: str, files: dict[str, bytes]) -> io.BytesIO:
    folder = root / name
    folder.mkdir()
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return io.BytesIO(artifacts.Artifacts(root).pack(folder)[1].read_bytes())


def test_files_that_came_went_or_changed_are_told_with_what_they_hold(tmp_path: Path) -> None:
    old = bundle(tmp_path, "old", {"same.py": b"1", "gone.py": b"22", "app.py": b"old!", "d/x": b""})
    new = bundle(tmp_path, "new", {"same.py": b"1", "came.py": b"333", "app.py": b"new!", "d/x": b""})
    compared = comparing.compare(old, new, 10)
    assert not compared.is_cut
    assert [(each.path, each.change) for each in compared.files] == [
        ("app.py", "changed"),
        ("came.py", "added"),
        ("gone.py", "removed"),
    ]
    assert compared.files[0].after == comparing.FileState(4, hashlib.sha256(b"new!").hexdigest())
    assert (compared.files[1].before, compared.files[2].after) == (None, None)


def test_bytecode_is_left_out(tmp_path: Path) -> None:
    old = bundle(tmp_path, "old", {"__pycache__/app.pyc": b"1"})
    new = bundle(tmp_path, "new", {"__pycache__/app.pyc": b"2", "d/__pycache__/x.pyc": b""})
    assert comparing.compare(old, new, 10).files == ()


def test_more_files_than_are_shown_are_cut_and_it_is_said(tmp_path: Path) -> None:
    old, new = bundle(tmp_path, "old", {}), bundle(tmp_path, "new", {f"{n}.py": b"" for n in range(5)})
    compared = comparing.compare(old, new, 4)
    assert (len(compared.files), compared.is_cut) == (4, True)


def test_what_is_no_bundle_is_an_error_of_the_tree() -> None:
    with pytest.raises(errors.Unavailable):
        comparing.compare(io.BytesIO(b"x" * 2000), io.BytesIO(b"y" * 2000), 4)


def test_values_that_differ_are_told_by_their_names() -> None:
    before = model.FunctionConfig(runtime="python3", handler="a.b", timeout_ms=1_000, env={"A": "1", "B": "2"})
    after = msgspec.structs.replace(before, timeout_ms=2_000, env={"A": "1", "C": "3"})
    changes = {each.name: (each.before, each.after) for each in revisions.config_changes(before, after)}
    assert changes == {"timeout_ms": (1_000, 2_000), "env.B": ("2", None), "env.C": (None, "3")}
    assert list(revisions.config_changes(before, before)) == []
