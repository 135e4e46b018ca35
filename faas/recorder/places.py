"""Under which name a recorder reads records: one that no other recorder has that lives.

A recorder's place is a file in the data directory, locked for as long as it lives, and its name is that of its place.
So one that starts after another died has the name of that one, and what that one had read and not committed comes to
it at once; and two that live never have the same, or each would be given what the other is at work on.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from faas.core.processes import locks

_log = logging.getLogger("faas.recorder")


@contextlib.contextmanager
def taken(root: Path) -> Iterator[str]:
    """The name of the first place that is free, which is this recorder's as long as the block lasts."""
    try:
        file, name = _first_free(root)
    except OSError as error:
        # What it leaves behind when it dies another takes over later.
        _log.warning("recorder_has_no_place", extra={"reason": f"{root}: {error.strerror}"})
        yield f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        return
    with file:
        yield name


def _first_free(root: Path) -> tuple[IO[bytes], str]:
    root.mkdir(parents=True, exist_ok=True)
    # Data directories of one machine may share a Redis.
    of = f"{socket.gethostname()}:{zlib.crc32(os.fsencode(root.resolve())):08x}"
    for number in itertools.count():
        file = (root / f"recorder-{number}.lock").open("wb")
        if locks.taken(file.fileno()):
            return file, f"{of}:{number}"
        file.close()
    raise AssertionError("numbers do not end")
