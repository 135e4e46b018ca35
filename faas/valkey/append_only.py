"""The files of a server's append-only file: which they are, syncing them, and mending them when the disk was full.

When a write is cut short, Valkey (9.1, and Redis from 7.0) takes back what of it was written with ftruncate, and tries
again when there is room. But a file that a rewrite began is not open for appending (O_APPEND), so the next write goes
where the short one had ended, and zeros lie between. The next start then refuses the file as damaged, though nothing
is missing. A second short write is taken back at an offset that is too low by the length of the zeros, and that much is
gone for good; `faas.valkey.rewriting` has the server begin another file before that can happen::

    commands │ zeros │ commands │ part of a command │ zeros │ commands

Here zeros are cut out, and with them what they break: a command, or all of its transaction. (The server's own tool
would drop everything from the first zero on.) The format is that of the protocol, RESP arrays of bulk strings:
https://valkey.io/topics/protocol/
"""

from __future__ import annotations

import itertools
import mmap
import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

_MANIFEST = "appendonlydir/appendonly.aof.manifest"
_AFTER_ZEROS = re.compile(rb"(?<=\0)\*\d{1,7}\r\n\$\d{1,10}\r\n")
_MOST_TRIED = 16
_COPIED_AT_ONCE = 1 << 24
_MULTI, _EXEC = b"*1\r\n$5\r\nMULTI\r\n", b"*1\r\n$4\r\nEXEC\r\n"


class Gap(msgspec.Struct, frozen=True):
    """Bytes that do not belong into a file; ``lost`` of them were commands, or parts of some."""

    start: int
    end: int
    lost: int


def files(folder: Path, kinds: str = "bi") -> list[Path]:
    """The files that a server in ``folder`` reads at its start: base (``b``), then increments (``i``), in order.

    A line of the manifest is ``file NAME seq NUMBER type KIND``.
    """
    manifest = folder / _MANIFEST
    rows = [line.split() for line in manifest.read_text().splitlines()] if manifest.is_file() else []
    return [manifest.parent / row[1] for row in rows if len(row) >= 6 and row[5] in kinds]


def sync(folder: Path) -> None:
    """Bring all that was written to the files of a server in ``folder`` to the disk. Blocks; raises `OSError`."""
    for file in files(folder):
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # A rewrite has taken the file's place, and synced what it wrote.
            continue
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def mend(folder: Path) -> list[Gap]:
    """Cut the gaps out of the increments of a server in ``folder``, and tell which. Raises `OSError`.

    What a file was before stays beside it, until the next time. The end of the last one is for the server to see to.
    """
    increments = files(folder, "i")
    cut: list[Gap] = []
    for file in increments:
        found = _gaps_of(file, is_last=file == increments[-1])
        if found:
            _cut(file, found)
        cut += found
    return cut


def _gaps_of(file: Path, *, is_last: bool) -> list[Gap]:
    if not file.stat().st_size:
        return []
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return gaps(content, is_last=is_last)


def gaps(content: mmap.mmap | bytes, *, is_last: bool = True) -> list[Gap]:
    """The gaps of a file's content; none when something else is wrong with it than zeros.

    A command that only the end of the last file cuts off is none.
    """
    found: list[Gap] = []
    at, transaction = 0, -1
    while at < len(content):
        end = _end_of_command(content, at)
        if end is not None and end <= len(content):
            if content[at:end] in (_MULTI, _EXEC):
                transaction = at if content[at:end] == _MULTI else -1
            at = end
            continue
        after = _command_after_zeros(content, at)
        if after is None and is_last and end is not None:
            break
        if after is None and end is None and bytes(content[at:]).strip(b"\0"):
            return []
        start = at if transaction < 0 else transaction
        whole = len(content) if after is None else after
        found.append(Gap(start, whole, len(bytes(content[start:whole]).rstrip(b"\0"))))
        at, transaction = whole, -1
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


def _command_after_zeros(content: mmap.mmap | bytes, at: int) -> int | None:
    for found in itertools.islice(_AFTER_ZEROS.finditer(content, at), _MOST_TRIED):
        if _end_of_command(content, found.start()) is not None:
            return found.start()
    return None


def _cut(file: Path, gaps: Sequence[Gap]) -> None:
    """Replace a file by one without the gaps."""
    mended = file.with_name(f"{file.name}.mending")
    kept = file.with_name(f"{file.name}.damaged")
    size = file.stat().st_size
    with file.open("rb") as source, mended.open("wb") as target:
        at = 0
        for gap in (*gaps, Gap(size, size, 0)):
            while at < gap.start:
                at += os.sendfile(target.fileno(), source.fileno(), at, min(gap.start - at, _COPIED_AT_ONCE))
            at = gap.end
        os.fsync(target.fileno())
    for older in file.parent.glob("*.damaged"):
        older.unlink()
    os.link(file, kept)
    mended.replace(file)
