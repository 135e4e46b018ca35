"""Journals whose writer has ended: shipped to their end, and what began and did not end is recorded as lost.

Any node of the machine does so, in its rounds. The lock says that the writer has ended: one that is only paused still
holds it. What an adopter adds is written into the journal first, so that one which dies meanwhile is followed by
another that finds it there::

    written ──lock is free──► adopted ──lost ones written, all shipped──► name.gone ──mark forgotten──► removed
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from faas.core import clock
from faas.core.calls import unrun
from faas.core.values import unreadable
from faas.queue import invocations
from faas.queue import shipping as moves
from runners.journal import format as form
from runners.journal import reading, shipping, writer

_MADE_WITHIN_S = 60.0

_log = logging.getLogger(__name__)


class Census(msgspec.Struct, frozen=True):
    """Journals that somebody writes, those whose writer has ended, and how large these are."""

    held: int
    left: int
    left_bytes: int


def census(root: Path) -> Census:
    """What journals there are in a folder."""
    held = left = size = 0
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name.startswith(form.MAKING) or folder.name.endswith(form.GONE):
            continue
        with contextlib.suppress(OSError):  # it was shipped to its end meanwhile
            lock = writer.locked(folder)
            if lock is None:
                held += 1
                continue
            os.close(lock)
            left += 1
            size += reading.left(folder, 0).end
    return Census(held, left, size)


async def settle(queue: invocations.Queue, root: Path) -> int:
    """Ship what dead writers left in ``root``, and remove it; how many calls were lost with them.

    Raises `errors.Unavailable` while Redis is away; what the disk refuses is said and tried again the next time.
    """
    lost = 0
    for folder in sorted(filter(_is_folder, root.iterdir())) if root.is_dir() else ():
        try:
            if folder.name.startswith(form.MAKING):
                _remove_stale(folder)
                continue
            lost += await _settle_one(queue, folder)
        except (OSError, *unreadable.ERRORS) as error:
            _log.warning("journal_not_settled", extra={"folder": str(folder), "reason": str(error)})
    return lost


async def _settle_one(queue: invocations.Queue, folder: Path) -> int:
    # Shipped to its end by one that died before it had removed it.
    if folder.name.endswith(form.GONE):
        await remove(queue, folder)
        return 0
    lock = writer.locked(folder)
    if lock is None:
        return 0
    try:
        mark = await moves.mark(queue, folder.name)
        found = await asyncio.to_thread(reading.left, folder, mark)
        end = found.end
        if found.running:
            end = await asyncio.to_thread(_write_lost, folder, found.end, found.running)
            _log.warning("handed_off_calls_lost", extra={"journal": folder.name, "count": len(found.running)})
        await shipping.ship_rest(queue, folder, mark, end)
        await retire(queue, folder)
        return len(found.running)
    finally:
        os.close(lock)


def _is_folder(path: Path) -> bool:
    """Whether it is a folder itself: a link to one is nobody's journal, and not to be removed with what it leads to."""
    return path.is_dir() and not path.is_symlink()


def _remove_stale(folder: Path) -> None:
    """Remove what was to become a journal, when whoever made it must have ended meanwhile."""
    if clock.now_ms() / 1000 - folder.stat().st_mtime > _MADE_WITHIN_S:
        shutil.rmtree(folder, ignore_errors=True)


async def retire(queue: invocations.Queue, folder: Path) -> None:
    """Remove a journal that is shipped to its end. Raises `errors.Unavailable` and `OSError`."""
    await remove(queue, folder.rename(folder.with_name(folder.name + form.GONE)))


async def remove(queue: invocations.Queue, gone: Path) -> None:
    """Let Redis forget a journal, then remove its folder: the other way round its mark would stay for ever."""
    await moves.forget(queue, gone.name.removesuffix(form.GONE))
    with contextlib.suppress(FileNotFoundError):  # another may do the same
        await asyncio.to_thread(shutil.rmtree, gone)


def _write_lost(folder: Path, position: int, running: Sequence[form.Began]) -> int:
    """Add the ends of calls that were lost with their node; the position behind them. Blocks."""
    now_ms = clock.now_ms()
    encode = msgspec.msgpack.Encoder().encode
    records = [unrun.lost(begun.invocation(), folder.name, now_ms, final=True) for begun in running]
    data = b"".join(form.entry(form.ENDED, encode(record)) for record in records)
    # A segment of its own: what stands behind the last whole entry may be the torn end of a write.
    path = folder / form.segment_name(position)
    with path.open("wb") as segment:
        segment.write(data)
    return position + len(data)
