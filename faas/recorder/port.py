"""What takes records in: the ledger is one such sink, an exporter another."""

from __future__ import annotations

from typing import Protocol

from faas.queue import batches


class Sink(Protocol):
    """Keeps what it is given. Its methods block, are called in a thread, one after another; ``open`` comes first.

    Its place in the stream of records (`faas.queue.cursors`) is moved only after a commit. So it may be given again
    what it has, when the recorder died between the two: that must change nothing.
    """

    @property
    def name(self) -> str:
        """What the sink is called in logs and in Redis; never another's."""

    @property
    def may_miss(self) -> bool:
        """Whether records may leave Redis without it, when so many wait that there would soon be no room."""

    def open(self) -> None:
        """Get ready, however often it is asked to. Raises `errors.Unavailable`: then it is asked again."""

    def commit(self, batch: batches.Batch) -> None:
        """Keep what it holds whole, or raise `errors.Unavailable`: then it is given again, alone or among others."""

    def close(self) -> None:
        """Let go of what ``open`` took."""
