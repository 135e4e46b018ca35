"""Child processes that die with their parent, also when the parent is killed (PR_SET_PDEATHSIG, Linux).

The kernel sends the signal when the *thread* that started the child ends, so start children from the main thread.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

# Setting the signal between fork and exec (preexec_fn) is not safe in a process with threads, so a bare interpreter
# sets it on itself and becomes the command. The parent may have died before that: then nobody would ever end us.
# Another user it becomes before that, as the kernel forgets the signal with a change of user. `Popen` could do it, but
# only in a whole copy of the parent's memory map, and the parent waits until that has become the command: up to 40 ms.
_LAUNCH = """
import ctypes, os, sys
if sys.argv[3]:
    user = int(sys.argv[3])
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
if ctypes.CDLL(None).prctl(1, 9, 0, 0, 0) != 0 or os.getppid() != int(sys.argv[1]):
    os._exit(125)
for limit in filter(None, sys.argv[2].split(",")):
    import resource
    kind, value = map(int, limit.split("="))
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))
try:
    os.execv(sys.argv[4], sys.argv[4:])
except OSError as error:
    sys.exit(f"{sys.argv[4]}: {error.strerror}")
"""


def tethered(
    command: Sequence[str],
    python: str = sys.executable,
    limits: Mapping[int, int] = MappingProxyType({}),
    user: int | None = None,
) -> list[str]:
    """The command line that runs ``command`` (its first word a path) so that it gets SIGKILL when we end.

    ``python`` is the interpreter that does it, for a command that runs as another ``user``: with that number, the group
    of the same and no other. ``limits`` has the most of each kind of resource (``resource.RLIMIT_NOFILE``): who becomes
    another user may set them only on itself.
    """
    told = ",".join(f"{kind}={value}" for kind, value in limits.items())
    becomes = "" if user is None else str(user)
    return [python, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), told, becomes, *command]


async def exited(process: subprocess.Popen[bytes]) -> int:
    """Wait until the process has ended, without a thread and without polling; its return code as `Popen` says it."""
    if process.poll() is None:
        # Readable when the process has ended; its number is its own until `wait`, below, takes note of that.
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
