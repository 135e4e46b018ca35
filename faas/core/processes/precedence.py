"""Who has a processor first when there are fewer than there is work."""

from __future__ import annotations

import contextlib
import os

_BY = 5
"""In steps of `nice`: three times the weight of what runs beside it. Twice as many gained nothing more."""


def come_first() -> None:
    """Have this thread, and those that it starts, run before others of the same host; only root may.

    A node hands work to all sandboxes: while it waits for a processor behind one of them, the others have nothing to
    do. With 32 clients on two processors a fifth more calls are answered so. Not for who starts sandboxes as children:
    they would come first as well.
    """
    with contextlib.suppress(PermissionError):
        os.nice(-_BY)
