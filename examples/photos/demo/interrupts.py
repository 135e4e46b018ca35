"""Signals that ask the demo to end: an exception while it tells its story, nothing while it clears up."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

from examples.photos.demo import failures

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within it the first signal raises `failures.Interrupted`; later ones, and those that come after it, do nothing.

    They are handled and not ignored, because programs that are started would inherit that.
    """
    _handle(_raise)
    try:
        yield
    finally:
        _handle(_wait)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A signal that comes within it is answered when it ends."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda which, _frame: came.append(which)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for first in came[:1]:
        signal.raise_signal(first)


def _handle(handler: Any) -> None:
    for number in _SIGNALS:
        signal.signal(number, handler)


def _raise(number: int, _frame: Any) -> None:
    _handle(_wait)
    raise failures.Interrupted(signal.Signals(number).name)


def _wait(_number: int, _frame: Any) -> None:
    """It is ending already."""
