"""Bytes that somebody else wrote: whatever decoding them raises is caught where it can be answered."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import msgspec
import pytest

from faas.builds import deploy
from faas.cli import client, platform_dir
from faas.core import bucket_places, errors
from faas.core.values import unreadable
from faas.queue import batches
from tests import samples

ROOT = Path(__file__).parents[2]
_ALONE = re.compile(r"^\s*(?:except|with contextlib\.suppress).*msgspec\.\w*Error", re.MULTILINE)
_OF_VALUES = {"faas/api/answers.py", "faas/core/http/replies.py"}
"""Where it is not bytes that are converted, or what else may be wrong is caught around it."""

NOT_TEXT = (b'{"a": "\xff"}', b'["\xff"]', b'"\xff"', b"\xff", b"", b"{", b"[" * 100_000, b'{"a":' * 100_000)


@pytest.mark.parametrize("raw", NOT_TEXT)
@pytest.mark.parametrize("kind", [dict[str, str], list[str], str, msgspec.Raw])
def test_whatever_msgspec_raises_is_one_of_these(raw: bytes, kind: type) -> None:
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        with contextlib.suppress(*unreadable.ERRORS):
            decode(raw, type=kind)


def test_nobody_catches_only_a_part_of_what_decoding_raises() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for room in ("faas", "triggers", "runners")
        for path in (ROOT / room).rglob("*.py")
        if _ALONE.search(path.read_text())
    }
    assert found <= _OF_VALUES


@pytest.mark.parametrize("raw", NOT_TEXT)
def test_files_that_are_broken_in_any_way_count_as_none(tmp_path: Path, raw: bytes) -> None:
    for name in (platform_dir.PLATFORM_FILE, "agreed", deploy.JOURNAL):
        (tmp_path / name).write_bytes(raw)
    assert platform_dir.published(tmp_path) is None
    assert bucket_places.agreed(tmp_path / "agreed") == frozenset()


@pytest.mark.parametrize("raw", NOT_TEXT)
def test_an_answer_that_is_not_the_platforms_is_told_as_such(raw: bytes) -> None:
    assert "the platform answered 502" in client.error_of(502, raw).message
    if raw:
        with pytest.raises(errors.Unavailable, match="no answer of the control API"):
            client._value(raw)


def test_a_record_with_a_text_that_is_none_is_unreadable_and_leaves_the_others() -> None:
    good = msgspec.msgpack.encode(samples.ended())
    bad = good.replace(b"hello", b"hell\xff")
    with pytest.raises(batches.Unreadable):
        batches.Batch().add(b"1-0", [b"r", bad])
    with pytest.raises(batches.Unreadable) as caught:
        batches.Batch().add(b"1-0", [b"b", b"\x92" + good + bad])
    assert caught.value.halves == (b"\x91" + good, b"\x91" + bad)
