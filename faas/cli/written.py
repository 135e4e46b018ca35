"""The files that commands write: whole or not at all, and into what is no plain file."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def whole(path: Path, finish: Callable[[Path], None] = lambda _: None) -> Iterator[IO[bytes]]:
    """A file beside ``path`` that takes its place at the end of the block, unless that raises. Raises `OSError`.

    ``finish`` is given the file before. A device, a pipe or a link to one (/dev/stdout) is written into as it comes.
    """
    # For root, a file would take the place of /dev/null too.
    if _is_special(path):
        with path.open("wb") as file:
            yield file
        return
    descriptor, name = tempfile.mkstemp(prefix=".faas-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        finish(Path(name))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
