"""A runner that starts sandboxes one after the other, several at once, says so, and is killed at it."""

from __future__ import annotations

import asyncio
import sys

from faas.core import settings
from runners.sandbox import base, choose

AT_ONCE = 3


async def _start_on(engine: base.Engine) -> None:
    while True:
        await engine.start(base.Spec(memory_mb=32))
        print("started", flush=True)


async def main(engine: str, data_dir: str) -> None:
    made = await choose.choose(settings.Settings(data_dir=data_dir, engine=engine), lambda _name: None)
    print("begins", flush=True)
    await asyncio.gather(*(_start_on(made) for _ in range(AT_ONCE)))


asyncio.run(main(*sys.argv[1:]))
