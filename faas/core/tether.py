"""Child processes that die with their parent, also when the parent is killed (PR_SET_PDEATHSIG, Linux).

The kernel sends the signal when the *thread* that started the child ends, so start children from the main thread.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

# Setting the signal between fork and exec (preexec_fn) is not safe in a process with threads, so a bare interpreter
# sets it on itself and becomes the command. The parent may have died before that: then nobody would ever end us.
_LAUNCH = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(1, 9, 0, 0, 0) != 0 or os.getppid() != int(sys.argv[1]):
    os._exit(125)
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""


def tethered(command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` (its first word a path) so that it gets SIGKILL when we end."""
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]


async def exited(process: subprocess.Popen[bytes]) -> int:
    """Wait until the process has ended, without a thread and without polling; its return code as `Popen` says it."""
    if process.poll() is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            await _readable(descriptor)
        finally:
            os.close(descriptor)
    return process.wait()


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
