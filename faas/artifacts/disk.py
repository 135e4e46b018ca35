"""What a full disk is called: one translation for everything that writes into the data directory."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from faas.core import errors

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def out_of_space(folder: Path) -> Iterator[None]:
    """Turn "no space left", "quota exceeded" and "file too large" inside the block into `errors.Unavailable`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise full(folder) from error


def full(folder: Path) -> errors.Unavailable:
    """The error that says that the disk under ``folder`` has no room."""
    return errors.Unavailable(
        f"no space left on the platform's disk (under {folder})", hint="free some space there, then deploy again"
    )
