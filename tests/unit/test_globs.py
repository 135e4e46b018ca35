"""Patterns of names as `.gitignore` writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.core.objects import globs

PATHS = (
    "a.tmp",
    "d/a.tmp",
    "d/e/a.tmp",
    "build/x",
    "d/build/x",
    "x/a/b",
    "#x",
    "b.txt",
    "z.txt",
    "[x",
    "a b",
    "d/e/f/g",
)


@pytest.mark.parametrize(
    "pattern",
    [
        "*.tmp", "/*.tmp", "d/*.tmp", "**/a.tmp", "d/**", "d/**/a.tmp", "build/", "/build", "x/**/b", "\\#x",
        "[a-c].txt",
        "[!a-c].txt", "?.txt", "a b", "d/e", "e", "e/", "**/e/**", "[x", "*", "d/*", "!a.tmp", "#x", "",
    ],
)  # fmt: skip
def test_a_pattern_means_what_git_makes_of_it(pattern: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(pattern + "\n")
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    ran = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "--stdin", "-z"], input="\0".join(PATHS), capture_output=True, text=True
    )
    assert ignored(pattern) == set(filter(None, ran.stdout.split("\0")))


def ignored(pattern: str) -> set[str]:
    rules = globs.lines(pattern)
    return {path for path in PATHS if any(_is_ignored(rules, path, at) for at in range(1, path.count("/") + 2))}


def _is_ignored(rules: list[globs.Pattern], path: str, depth: int) -> bool:
    above = "/".join(path.split("/")[:depth])
    found = globs.deciding(rules, above, is_folder=above != path)
    return found is not None and not found.takes_back


def test_the_last_pattern_that_fits_decides_and_a_folder_takes_what_is_in_it() -> None:
    taken = globs.Matched(["*.tmp", "*.download", "!keep.tmp", "out/"], any_case=True)
    assert [path for path in ("a.TMP", "x.download/y", "d/keep.tmp", "out/x", "out", "b") if taken.takes(path)] == [
        "a.TMP", "x.download/y", "out/x",
    ]  # fmt: skip


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_is_too_strange_to_be_a_pattern_or_none(text: str, path: str) -> None:
    made = globs.pattern(text)
    assert made is None or made.fits(path, is_folder=True) in (True, False)
    globs.Matched([text]).takes(path)
