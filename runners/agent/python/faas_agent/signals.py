"""Signals that stop the platform do not stop a handler midway, and do not surface in it as an exception.

A terminal sends Ctrl-C to every process of its group, an engine sends SIGTERM to stop a container. The runner decides
when a sandbox ends; so SIGINT is ignored, and SIGTERM ends the agent when no attempt is running, else after it. (Not by
SIG_IGN, which programs that the handler starts would inherit.) User code may set handlers of its own.

A child that user code forks dies of signals as a fresh process would. Python forgets a signal that reaches a child
before its first line, so signals are held back from before the fork until the child has its own handlers again.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

_HELD_BACK = (signal.SIGTERM, signal.SIGINT)


class Termination:
    """Whether the agent was asked to end. ``is_busy`` says whether an attempt is running."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self.requested = False
        self._is_busy = is_busy
        self._forking = threading.local()
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGINT, _on_sigint)
        os.register_at_fork(
            before=self._hold_back, after_in_parent=self._let_through, after_in_child=self._restore_in_child
        )

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        self.requested = True
        if not self._is_busy():
            os._exit(0)

    def _hold_back(self) -> None:
        self._forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)

    def _let_through(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._forking.mask)

    def _restore_in_child(self) -> None:
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if signal.getsignal(signal.SIGINT) is _on_sigint:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._let_through()


def _on_sigint(_number: int, _frame: object) -> None:
    """Nothing."""
