"""The real command line in a process of its own, on a data directory of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from faas.cli import exits

FAAS = [sys.executable, "-m", "faas.cli.main"]


class Ran(msgspec.Struct, frozen=True):
    """How a command ended, and what it printed where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stdout holds, which must be one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """What stderr holds, which must be one JSON object of one error."""
        return json.loads(self.err)["error"]


def environment(root: Path, **more: str) -> dict[str, str]:
    """What a command sees: a path, a home and the data directory."""
    return {"PATH": os.environ["PATH"], "HOME": str(root), "TZ": "UTC", "FAAS_DATA_DIR": str(root), **more}


async def faas(root: Path, *arguments: str, stdin: bytes = b"", **more: str) -> Ran:
    """Run one command to its end; whatever it was, it ends with a code of the table and shows no traceback."""
    process = await asyncio.create_subprocess_exec(
        *FAAS, *arguments, env=environment(root, **more),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    ran = Ran(process.returncode, out.decode(errors="surrogateescape"), err.decode())
    assert ran.code in {row.code for row in exits.TABLE}, ran
    assert "Traceback" not in ran.out + ran.err, ran
    if "--json" in arguments and ran.code != exits.OK and arguments[0] != "doctor":
        assert set(ran.error) >= {"code", "message"}, ran
    return ran
