"""Text files as people's editors write them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from faas.core import errors
from faas.core.values import texts
from faas.runtimes.python import requirements


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_requirements_are_read_in_whatever_their_first_bytes_say(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes("pillow==13.0.0  # grüße\r\nnumpy\r\n".encode(encoding))
    found = requirements.read(tmp_path, "requirements.txt")
    assert [(line.number, line.text) for line in found.lines] == [(1, "pillow==13.0.0"), (2, "numpy")]


def test_big_endian_text_is_read_too() -> None:
    assert texts.decoded(codecs.BOM_UTF16_BE + "ü".encode("utf-16-be")) == "ü"


@pytest.mark.parametrize("content", [b"pillow\n\xe4\xf6\n", codecs.BOM_UTF16_LE + b"\x00"])
def test_what_is_no_text_is_named_with_its_line_and_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(content)
    with pytest.raises(errors.BuildFailed, match=r"requirements\.txt:\d: this is not UTF-8 text") as refused:
        requirements.read(tmp_path, "requirements.txt")
    assert refused.value.hint == "save it as UTF-8 in your editor"
