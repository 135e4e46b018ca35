"""The collector of cyclic garbage, where its looks cost more than they find."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_LOOKED_FOR_EVERY = 10_000


def keep_what_is_there() -> None:
    """Let it look no more at what has been made until now, and seldom at the rest.

    Modules and tables stay for as long as the process does; to go through them took a tenth of a call's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_LOOKED_FOR_EVERY, 10, 10)


@contextlib.contextmanager
def left() -> Iterator[None]:
    """A short time in which it does not look, in any thread: while very many objects are made of which all are used."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
