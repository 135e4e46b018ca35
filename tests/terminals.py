"""A command as a person sees it: its stdout is a terminal of a certain width."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import subprocess
from pathlib import Path

from tests.command import FAAS, environment

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


async def shown(
    root: Path, *arguments: str, columns: int = 80, stdin: bytes | None = None, **more: str
) -> tuple[int, list[str]]:
    """The exit code, and what stands on the terminal, line by line and without styles.

    With ``stdin`` all three streams are the terminal, and that is what the person types. ``more`` are variables.
    """
    main_end, other_end = pty.openpty()
    streams = {"stdout": other_end} if stdin is None else dict.fromkeys(("stdin", "stdout", "stderr"), other_end)
    env = environment(root, COLUMNS=str(columns), TERM="xterm", **more)
    process = await asyncio.create_subprocess_exec(
        *FAAS, *arguments, env=env, **{"stdin": subprocess.DEVNULL, **streams}
    )
    os.close(other_end)
    if stdin:
        os.write(main_end, stdin)
    told = await asyncio.to_thread(_all_of, main_end)
    return await process.wait(), _STYLE.sub("", told.decode()).replace("\r\n", "\n").splitlines()


def _all_of(terminal: int) -> bytes:
    told = b""
    with contextlib.suppress(OSError):  # the other end is closed, which is an error to who reads
        while chunk := os.read(terminal, 65_536):
            told += chunk
    os.close(terminal)
    return told
