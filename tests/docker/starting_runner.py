"""A runner that starts sandboxes one after the other, several at once, says so, and is killed at it."""

from __future__ import annotations

import asyncio
import sys

from faas.cli import languages
from faas.core import settings
from runners.engines import choose
from runners.sandbox import base

AT_ONCE = 3


async def _start_on(engine: base.Engine) -> None:
    while True:
        await engine.start(base.Spec(runtime="python3", memory_mb=32))
        print("started", flush=True)


async def main(engine: str, data_dir: str) -> None:
    limits = settings.of(data_dir=data_dir, engine=engine)
    made = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    print("begins", flush=True)
    await asyncio.gather(*(_start_on(made) for _ in range(AT_ONCE)))


asyncio.run(main(*sys.argv[1:]))
