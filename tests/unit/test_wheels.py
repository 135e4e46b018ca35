"""Wheels that lie in a source: what is damaged, or hides what it asks for, is refused in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from faas.core import errors
from faas.runtimes import bounds
from faas.runtimes.python import wheels
from tests.fuzz.edges import requirements as made

BOUND = bounds.Bound(max_bytes=100_000, max_files=100)
KINDS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def check(folder: Path, wheel: bytes) -> None:
    (folder / "a.whl").write_bytes(wheel)
    wheels.check(folder, ["a.whl"], BOUND)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wheel_that_asks_for_packages_of_the_index_is_taken(tmp_path: Path, kind: int) -> None:
    check(tmp_path, made.wheel("Requires-Dist: six>=1\nAuthor: J\u00f6rg\n", kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_wheel_with_any_byte_changed_is_taken_or_refused_in_one_line(tmp_path: Path, kind: int) -> None:
    good = made.wheel("Requires-Dist: six>=1\n" * 9, kind)
    for at in range(len(good)):
        try:
            check(tmp_path, good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        except errors.BuildFailed as refused:
            assert "\n" not in refused.message
        except errors.TooLarge:
            pass


@pytest.mark.parametrize(
    "asks",
    [
        "Requires-Dist: \u00fc @ file:///x.whl\n",
        "Requires-Dist: b\n @ file:///x.whl\n",
        "requires-dist: b@../x.whl\n",
        "Requires-Dist: =?utf-8?q?b_=40_file:/x.whl?=\n",
        "Requires-Dist: =?utf-8?b?YiBAIGZpbGU6L3gud2hs?=\n",
    ],
)
def test_what_a_wheel_asks_for_by_its_place_is_found_however_it_is_written(tmp_path: Path, asks: str) -> None:
    with pytest.raises(errors.BuildFailed, match="which is no wheel behind a URL"):
        check(tmp_path, made.wheel(asks))


def test_what_a_wheel_says_in_bytes_that_are_no_text_is_no_fault_of_ours(tmp_path: Path) -> None:
    good = made.wheel("Requires-Dist: abcdef>=1\n", zipfile.ZIP_STORED)
    with pytest.raises(errors.BuildFailed, match="CRC"):
        check(tmp_path, good.replace(b"abcdef", b"abc\xff\xfe\xfd"))
