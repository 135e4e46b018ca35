"""Looking into wheels that lie in a source before uv unpacks them: how large they are, and what they ask for.

What an archive says of itself may be a lie, so this only spares the work of refusing what says so openly; the bound
that counts is held while uv works (`faas.runtimes.bounds`).
"""

from __future__ import annotations

import email.parser
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from faas.core import errors
from faas.runtimes import bounds

_MOST_METADATA_BYTES = 1024 * 1024
_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_BROKEN = (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError, zlib.error, lzma.LZMAError)
"""What `zipfile` raises for an archive that is damaged, encrypted or packed in a way that it does not know.

What unpacks raises errors of its own, and NotImplementedError is a RuntimeError.
"""
_URL = re.compile(r"https?://[^\s?#]+\.whl(?:[?#]\S*)?(?:\s|$)", re.IGNORECASE)


def check(source: Path, wheels: Iterable[str], bound: bounds.Bound) -> None:
    """Look into the wheels ``wheels`` of the folder ``source``.

    Raises `errors.TooLarge` when they hold more than a function may, and `errors.BuildFailed` for one that is damaged
    or asks for something that is neither a package of the index nor a wheel behind a URL.
    """
    size = files = 0
    for name in wheels:
        with _opened(source, name) as archive:
            entries = archive.infolist()
            size, files = size + sum(entry.file_size for entry in entries), files + len(entries)
            if size > bound.max_bytes or files > bound.max_files:
                raise bound.passed(f"{name} unpacks to {size / 1024 / 1024:.1f} MB in {files} files")
            for wanted in _direct(archive, entries):
                if _URL.match(wanted) is None:
                    raise errors.BuildFailed(f"{name} requires {wanted[:200]}, which is no wheel behind a URL")


def _opened(source: Path, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source / name)
    except _BROKEN as error:
        raise errors.BuildFailed(f"{name} is no wheel that can be read: {error}") from error


def _direct(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """What the wheel asks for by its place and not by its name."""
    for entry in entries:
        if _METADATA.fullmatch(entry.filename) is not None:
            for line in _required(archive, entry):
                if "@" in line.partition(";")[0]:
                    yield line.partition("@")[2].strip()
                elif "=?" in line:  # in words that are encoded, which uv reads, anything may stand
                    yield line


def _required(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> list[str]:
    try:
        with archive.open(entry) as file:
            text = file.read(_MOST_METADATA_BYTES + 1)
    except _BROKEN as error:
        raise errors.BuildFailed(f"{entry.filename} cannot be read: {error}") from error
    if len(text) > _MOST_METADATA_BYTES:
        raise errors.BuildFailed(f"{entry.filename} is larger than {_MOST_METADATA_BYTES} bytes")
    # Metadata is UTF-8. Given bytes, the parser would answer with something else than text for what is not ASCII.
    parsed = email.parser.HeaderParser().parsestr(text.decode(errors="replace"))
    return parsed.get_all("Requires-Dist", [])
