"""What is taken away from installed packages, and what is refused of them: a wheel may hold anything by any name."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import msgspec

from faas.core import errors
from faas.core.values import unreadable

_ORIGIN = "direct_url.json"
_MOST_ORIGIN_BYTES = 64 * 1024
_MOST_RECORD_BYTES = 16 * 1024 * 1024


class _Origin(msgspec.Struct, frozen=True):
    url: str


def check_origins(files: Path, source: Path) -> None:
    """Raise `errors.BuildFailed` when a package came from a file of this machine outside of the source.

    A wheel of the source may require another one by a path, which uv follows.
    """
    for path in _plain(files.glob(f"*.dist-info/{_ORIGIN}")):
        url = urllib.parse.urlsplit(_origin(path))
        if url.scheme in ("http", "https"):
            continue
        place = Path(os.path.normpath(urllib.parse.unquote(url.path)))
        if url.scheme != "file" or not place.is_relative_to(source.absolute()):
            raise errors.BuildFailed(
                f"{path.parent.name.removesuffix('.dist-info')} comes from {url.scheme}:, and not from an index,"
                " a URL or the source folder",
                hint="a package of yours requires it by its path; put its wheel into the source folder",
            )


def clean(files: Path) -> None:
    """Take away what says on which machine and when the packages were installed."""
    _remove(files / ".lock")
    # A script's first line names it, which no sandbox has.
    interpreter = os.fsencode(sys.executable)
    scripts = [path for path in _plain((files / "bin").glob("*")) if interpreter in _beginning(path)]
    origins = list(files.glob(f"*.dist-info/{_ORIGIN}"))
    gone = {path.relative_to(files).as_posix() for path in (*scripts, *origins)}
    for path in (*scripts, *origins):
        _remove(path)
    with contextlib.suppress(OSError):  # it holds something else, is a file, or is not there
        (files / "bin").rmdir()
    if gone:
        for record in _plain(files.glob("*.dist-info/RECORD")):
            _drop_rows(record, gone)


def _origin(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_ORIGIN_BYTES), type=_Origin).url
    except unreadable.ERRORS:
        return ""


def _plain(paths: Iterator[Path]) -> Iterator[Path]:
    return (path for path in paths if path.is_file() and not path.is_symlink())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


def _drop_rows(record: Path, gone: set[str]) -> None:
    """Leave out the rows of files that have gone. A record that cannot be understood is left as it is."""
    if record.stat().st_size > _MOST_RECORD_BYTES:
        return
    try:
        rows = list(csv.reader(io.StringIO(record.read_text("utf-8"))))
    except (UnicodeDecodeError, csv.Error):
        return
    kept = io.StringIO()
    csv.writer(kept, lineterminator="\n").writerows(row for row in rows if row and row[0] not in gone)
    record.write_text(kept.getvalue(), "utf-8")
