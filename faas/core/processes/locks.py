"""Locks on files, by which processes of one machine know of one another: the kernel lets go of those of the dead."""

from __future__ import annotations

import fcntl


def taken(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file if nobody is in the way; whether it is held now, until the file is closed.

    Whoever only looks takes a shared one, so that several who look at once are not taken for the holder.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
