"""Process 1 of a container, when nothing else is.

The kernel gives process 1 two duties that user code must not inherit: it is the parent of every orphan (which stays a
zombie and counts against the limit of processes until it is waited for), and it does not die of signals that have no
handler (not even of SIGKILL sent from inside). So process 1 forks: the child is the agent, the parent waits.
"""

from __future__ import annotations

import os
import signal
import sys


def stay_as_init() -> None:
    """Return in the process that is to be the agent; never return in process 1."""
    if os.getpid() != 1:
        return
    child = os.fork()
    if child == 0:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: _forward(child, received))
    os._exit(_reap_until(child))


def _forward(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except ProcessLookupError:
        sys.exit(128 + number)


def _reap_until(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
