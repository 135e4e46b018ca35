"""The journal of a living node: what happens in one turn of its event loop is written at once, before it is answered.

What is written outlives this process, since the kernel has it. A journal belongs to the process that holds its lock,
which the kernel gives back when that process ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from faas.core import errors, model
from runners.journal import format as form
from runners.journal import reading

SEGMENT_BYTES = 8 * 1024 * 1024
_TRIED_EVERY_S = 0.2

_log = logging.getLogger(__name__)

Then = Callable[[], None]
Written = Callable[[Sequence[reading.EndedCall]], None]


class _Segment(msgspec.Struct, frozen=True):
    start: int
    size: int
    descriptor: int
    path: Path


class Journal:
    """Appends to a journal. ``on_ended`` is told of what has ended, in order, once that is written.

    Past ``most_bytes`` that are not shipped, or without room on the disk, it is not fit for anything new. Room for the
    ends of what runs is kept ahead.
    """

    def __init__(self, folder: Path, lock: int, *, start: int = 0, most_bytes: int, on_ended: Written) -> None:
        self.folder = folder
        self.position = start
        """Up to where it is written."""
        self.mark = start
        """Up to where Redis has it."""
        self._lock = lock
        self._most_bytes = most_bytes
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._encode = msgspec.msgpack.Encoder().encode
        self._running: dict[str, bytes] = {}
        self._parts: list[bytes] = []
        self._ends: list[tuple[int, str, bytes]] = []
        self._thens: list[Then] = []
        self._size = 0
        self._is_due = False
        self._is_stuck = False
        self._is_closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._segments = [_make_segment(folder, start)]
        self._next: _Segment | None = None

    @classmethod
    def open(cls, root: Path, name: str, *, most_bytes: int, on_ended: Written) -> Journal:
        """A new journal in a folder of its own. Raises `errors.Unavailable` when the disk has no room for it."""
        folder, made = root / name, root / f"{form.MAKING}{name}"
        try:
            made.mkdir(parents=True)
            lock = locked(made)
            if lock is None:
                raise errors.Unavailable(f"somebody else holds the journal {made}")
            # It gets its name with the lock held: nobody takes it for one that was left.
            made.rename(folder)
            return cls(folder, lock, most_bytes=most_bytes, on_ended=on_ended)
        except OSError as error:
            raise errors.Unavailable(f"no journal can be written in {folder}: {error}") from error

    @property
    def is_fit(self) -> bool:
        """Whether a hand-off would be written down now."""
        return self._retry is None and not self._is_closed and self.position + self._size - self.mark < self._most_bytes

    def began(self, invocation: model.Invocation) -> None:
        """Write a beginning: a call was given to a slot. It is written at the end of this turn of the event loop."""
        packed = self._running[invocation.id] = form.began(invocation)
        self._append(packed)

    def ended(self, record: model.Record, then: Then) -> None:
        """Write an end. ``then`` is called as soon as that is written: at the end of this turn, in general."""
        self._running.pop(record.invocation_id, None)
        text = self._encode(record)
        self._append(form.entry(form.ENDED, text))
        # Its place within this write; where the write begins is known when it is written.
        self._ends.append((self._size, f"{record.function}@{record.revision}", text))
        self._thens.append(then)

    def write_now(self) -> None:
        """Write what this turn has brought so far, and answer: nothing else is about to come that could go along."""
        # While the disk is full only the timer tries, or each turn would.
        if self._parts and not self._is_stuck and not self._is_closed:
            self._write()

    def shipped(self, mark: int) -> None:
        """Redis has all up to a mark: what lies before it is given back to the disk."""
        self.mark = max(self.mark, mark)
        # The last one is written, and the one that holds the mark is read if need be.
        while len(self._segments) > 1 and self._segments[1].start <= self.mark:
            _remove(self._segments.pop(0))

    def close(self) -> None:
        """Write what is left, if there is room, and let go of files and lock. What ends later counts as lost."""
        if self._retry is not None:
            self._retry.cancel()
        if self._parts:
            self._write()
        self._is_closed = True
        for segment in [*self._segments, *filter(None, [self._next])]:
            os.close(segment.descriptor)
        os.close(self._lock)

    def _append(self, packed: bytes) -> None:
        if self._is_closed:
            return
        self._parts.append(packed)
        self._size += len(packed)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_due = False
        self.write_now()

    def _write(self) -> None:
        """Write what has come since the last time, or keep it until there is room."""
        try:
            self._make_room()
            segment = self._segments[-1]
            _write_all(segment.descriptor, b"".join(self._parts), self.position - segment.start)
        except OSError as error:
            self._is_stuck = True
            self._say_full(error)
            return
        self._is_stuck = False
        self._written()

    def _say_full(self, error: OSError) -> None:
        if self._retry is None:
            _log.warning("journal_full", extra={"folder": str(self.folder), "reason": str(error)})
            self._retry = self._loop.call_later(_TRIED_EVERY_S, self._try_again)

    def _written(self) -> None:
        start, thens = self.position, self._thens
        ends = [reading.EndedCall(start + end, ref, text) for end, ref, text in self._ends]
        self.position += self._size
        # Before anybody is told: who hears that his call has ended may begin the next one, which is of the next write.
        self._parts, self._ends, self._thens, self._size = [], [], [], 0
        if ends:
            self._on_ended(ends)
        for then in thens:
            _call(then)

    def _try_again(self) -> None:
        retry, self._retry = self._retry, None
        if self._parts:
            self._write()
        if not self._is_stuck:
            self._look_ahead()
        if self._retry is None and retry is not None:
            _log.info("journal_goes_on", extra={"folder": str(self.folder)})

    def _make_room(self) -> None:
        segment = self._segments[-1]
        used = self.position - segment.start
        if used + self._size <= segment.size:
            self._look_ahead()
            return
        # Those that run now stand at the head of the segment too, so that it can be read without the ones before it.
        head = list(self._running.values())
        shift = sum(map(len, head))
        following, self._next = self._next, None
        if following is None or following.size < shift + self._size:
            self._next = following
            following = _make_segment(self.folder, self.position, shift + self._size)
        else:
            following = _named(following, self.folder, self.position)
        self._segments.append(following)
        # In front of what is to be written now, whose places shift by as much.
        self._parts[:0] = head
        self._size += shift
        self._ends = [(end + shift, ref, text) for end, ref, text in self._ends]

    def _look_ahead(self) -> None:
        """Have room on the disk before it is needed: without it nothing new begins, and what runs can end."""
        segment = self._segments[-1]
        # At half of a segment, so that there is time to find out that the disk is full.
        if self._next is not None or self.position - segment.start <= segment.size // 2:
            return
        try:
            self._next = _make_segment(self.folder, None)
        except OSError as error:
            self._say_full(error)


def _call(then: Then) -> None:
    try:
        then()
    except Exception:  # noqa: BLE001 - whatever one answer comes to grief on, the others are to leave
        _log.exception("answer_failed")


def locked(folder: Path) -> int | None:
    """The descriptor of a journal's lock, which its holder keeps open; None when somebody else has it.

    Raises `OSError`, as when the folder is gone.
    """
    path = folder / form.LOCK
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have removed the folder between our open and our lock.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    os.close(descriptor)
    return None


def _make_segment(folder: Path, start: int | None, least_bytes: int = 0) -> _Segment:
    """A segment with its room taken from the disk. One that is made ahead has no start, and no name, yet."""
    size = max(SEGMENT_BYTES, least_bytes)
    path = folder / ("ahead" if start is None else form.segment_name(start))
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # Not a sparse file: an end that has no room is a call that ran and is not in the ledger.
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return _Segment(start or 0, size, descriptor, path)


def _named(segment: _Segment, folder: Path, start: int) -> _Segment:
    path = segment.path.rename(folder / form.segment_name(start))
    return msgspec.structs.replace(segment, start=start, path=path)


def _remove(segment: _Segment) -> None:
    os.close(segment.descriptor)
    segment.path.unlink(missing_ok=True)


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    written = os.pwrite(descriptor, data, at)
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], at + written)
