"""The memory of one machine, shared out among whatever runs sandboxes on it: what is promised in sum stays below it.

Nodes are such parties, groups will be. Each has a file in a folder of the data directory: its length in bytes is what
the party has promised, in MB (such a file takes no room on the disk, and is never torn), and its lock says that the
party lives. Nobody waits for a lock: who promises writes first what it would have promised then, and looks at the sum
after that. Of two that do so at once, the later one sees both.

What a dead party had promised counts until its sandboxes are removed: `Broker.bury` is for whoever did that.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from faas.core import errors
from faas.core.processes import locks

_SHARE = 0.8
_log = logging.getLogger(__name__)


def machine_mb() -> int:
    """All memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20


def share_mb(asked_mb: int) -> int:
    """What may be promised on this machine in sum: 80% of its memory, or all of it when a person set how much."""
    return machine_mb() if asked_mb else int(machine_mb() * _SHARE)


class Broker:
    """The parties of one machine that share ``total_mb``. All of them name the same folder and total."""

    def __init__(self, folder: Path, total_mb: int) -> None:
        self.total_mb = total_mb
        self.folder = folder

    def __repr__(self) -> str:
        return f"<Broker {self.promised_mb()} of {self.total_mb} MB>"

    def join(self, party: str) -> Part:
        """A party's part, of which nothing is promised yet. Raises `errors.Unavailable` when it cannot be written."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Part(self, party)
        except OSError as error:
            raise errors.Unavailable(
                f"what is promised of the machine's memory cannot be written to {self.folder}: {error.strerror}",
                hint="is its disk full, or not yours?",
            ) from error

    def promised_mb(self) -> int:
        """What all parties have promised, the dead among them."""
        return sum(self._size(name) for name in self._parties())

    def dead(self) -> list[str]:
        """The parties that are dead now, though they may have left sandboxes."""
        return [name for name in self._parties() if _is_free(self.folder / name)]

    def bury(self, parties: Iterable[str]) -> None:
        """No sandbox is left of these, which `dead` named before their sandboxes were removed."""
        for name in parties:
            promised_mb = self._size(name)
            (self.folder / name).unlink(missing_ok=True)
            _log.info("memory_of_the_dead_is_free", extra={"party": name, "promised_mb": promised_mb})

    def _parties(self) -> Iterator[str]:
        try:
            with os.scandir(self.folder) as found:
                entries = [one for one in found if one.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return
        yield from (entry.name for entry in entries if not entry.name.startswith("."))

    def _size(self, name: str) -> int:
        try:
            return (self.folder / name).stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            return 0


class Part:
    """What one living party has promised. Closed by `leave`, or by the end of its process."""

    def __init__(self, broker: Broker, party: str) -> None:
        self.promised_mb = 0
        self._broker = broker
        self._party = party
        self._file = self._published()

    def __repr__(self) -> str:
        return f"<Part {self._party} {self.promised_mb} MB>"

    def _published(self) -> int:
        # It has its name once it is locked: a file that is not locked is of a dead party.
        hidden = self._broker.folder / f".{self._party}"
        file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, self.promised_mb)
            hidden.rename(self._broker.folder / self._party)
        except OSError:
            os.close(file)
            raise
        return file

    @property
    def free_mb(self) -> int:
        """What nobody has promised yet."""
        return max(self._broker.total_mb - self._broker.promised_mb(), 0)

    def promise(self, mb: int) -> bool:
        """Promise so much, or nothing when all parties together would have promised more than there is."""
        try:
            self._write(self.promised_mb + mb)
            if self._broker.promised_mb() > self._broker.total_mb:
                self._write(self.promised_mb)
                return False
        except OSError as error:
            _log.warning("memory_not_promised", extra={"reason": str(error), "folder": str(self._broker.folder)})
            return False
        self.promised_mb += mb
        return True

    def take_back(self, mb: int) -> None:
        """What it was promised to is gone."""
        self.promised_mb -= mb
        try:
            self._write(self.promised_mb)
        except OSError as error:  # then others believe that there is less, until the next promise
            _log.warning("memory_not_taken_back", extra={"reason": str(error), "folder": str(self._broker.folder)})

    def _write(self, mb: int) -> None:
        os.ftruncate(self._file, mb)
        if os.fstat(self._file).st_nlink == 0:  # somebody removed the folder
            self._broker.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(self._file)
            self._file = self._published()
            os.ftruncate(self._file, mb)

    def leave(self) -> None:
        """The party ends, and its sandboxes have gone."""
        (self._broker.folder / self._party).unlink(missing_ok=True)
        os.close(self._file)


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock of a file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        return locks.taken(file, shared=True)
    finally:
        os.close(file)
