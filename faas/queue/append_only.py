"""Mending the append-only file of a server whose disk was full.

A server cuts off what a write put down only in part, and writes it again when there is room. With Valkey 9.1 zeros may
stay there (seen: up to the end of a page, and 70 MB), and a part of the write before them. The next start then refuses
the file as damaged, though nothing of it is missing::

    commands │ a part of a write, or nothing │ zeros │ the whole of that write │ commands

Here the part and the zeros are cut out. The format is that of the protocol (RESP arrays of bulk strings):
https://valkey.io/topics/protocol/
"""

from __future__ import annotations

import itertools
import mmap
import os
import re
from collections.abc import Sequence
from pathlib import Path

_MANIFEST = "appendonlydir/appendonly.aof.manifest"
_COMMAND = re.compile(rb"\*\d{1,7}\r\n\$\d{1,10}\r\n")
_MOST_TRIED = 16
_MOST_COMMANDS = 200_000
_HEAD_BYTES = 32
_COPIED_AT_ONCE = 1 << 24

Gap = tuple[int, int]
"""First and last (excluded) byte that do not belong into a file."""


def mend(folder: Path) -> int:
    """Cut the gaps out of the files that a server in ``folder`` appended to; how many bytes. Raises `OSError`.

    A file with any other damage is left as it is, and so is the end of a file, which the server sees to itself.
    """
    return sum(_cut(file, gaps) for file in _files(folder / _MANIFEST) if (gaps := _gaps_of(file)))


def _files(manifest: Path) -> list[Path]:
    """The files of commands; a line of the manifest is ``file NAME seq NUMBER type i``."""
    rows = [line.split() for line in manifest.read_text().splitlines()] if manifest.is_file() else []
    return [manifest.parent / row[1] for row in rows if len(row) >= 6 and row[5] == "i"]


def _gaps_of(file: Path) -> list[Gap]:
    if not file.stat().st_size:
        return []
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return gaps(content)


def gaps(content: mmap.mmap | bytes) -> list[Gap]:
    """The gaps of a file's content; none when something else is wrong with it, or nothing is."""
    found: list[Gap] = []
    starts: list[int] = []
    at = 0
    while at < len(content):
        starts.append(at)
        after = _end_of_command(content, at)
        if after is None:
            gap = _gap(content, starts)
            if gap is None:
                return []
            found.append(gap)
            starts = []
            after = gap[1]
        elif after > len(content):
            break
        at = after
    return found


def _end_of_command(content: mmap.mmap | bytes, at: int) -> int | None:
    """Where the command that begins here ends, past the end of the content if it is cut off, or None if it is none."""
    count, at = _number(content, at, b"*")
    for _ in range(count or 0):
        if at >= len(content):
            return at + 1
        length, at = _number(content, at, b"$")
        if length is None:
            return None
        at += length + 2
        if at <= len(content) and content[at - 2 : at] != b"\r\n":
            return None
    return None if count is None else at


def _number(content: mmap.mmap | bytes, at: int, sign: bytes) -> tuple[int | None, int]:
    """The number of a line ``<sign><number>``, and where the next one begins."""
    end = content.find(b"\r\n", at, at + 32)
    digits = bytes(content[at + 1 : end]) if end > 0 else b""
    if content[at : at + 1] != sign or not digits.isdigit():
        return None, at
    return int(digits), end + 2


def _gap(content: mmap.mmap | bytes, starts: Sequence[int]) -> Gap | None:
    """The gap in which the last of these commands begins, or which that one runs into."""
    latest = starts[-_MOST_COMMANDS:]
    heads: dict[bytes, list[int]] = {}
    for start in latest:
        heads.setdefault(bytes(content[start : start + _HEAD_BYTES]), []).append(start)
    broken = starts[-1]
    for found in itertools.islice(_COMMAND.finditer(content, broken + 1), _MOST_TRIED):
        whole = found.start()
        if _end_of_command(content, whole) is None:
            continue
        written = broken + len(bytes(content[broken:whole]).rstrip(b"\0"))
        for start in (*heads.get(bytes(content[whole : whole + _HEAD_BYTES]), ()), broken):
            if _is_part(content, start, written, whole):
                return start, whole
    return None


def _is_part(content: mmap.mmap | bytes, start: int, end: int, whole: int) -> bool:
    """Whether what lies from ``start`` to ``end`` is the beginning of what begins at ``whole``."""
    return bool(content[start:end] == content[whole : whole + end - start])


def _cut(file: Path, gaps: Sequence[Gap]) -> int:
    """Replace a file by one without the gaps; what it was stays beside it, until the next time."""
    mended = file.with_name(f"{file.name}.mending")
    kept = file.with_name(f"{file.name}.damaged")
    with file.open("rb") as source, mended.open("wb") as target:
        at = 0
        for start, end in (*gaps, (file.stat().st_size, 0)):
            while at < start:
                at += os.sendfile(target.fileno(), source.fileno(), at, min(start - at, _COPIED_AT_ONCE))
            at = end
        os.fsync(target.fileno())
    for older in file.parent.glob("*.damaged"):
        older.unlink()
    os.link(file, kept)
    mended.replace(file)
    return sum(end - start for start, end in gaps)
