"""A runner that starts one sandbox, says its id, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys

from faas.cli import languages
from faas.core import settings
from runners.engines import choose
from runners.sandbox import base


async def main(engine: str, data_dir: str) -> None:
    limits = settings.of(data_dir=data_dir, engine=engine)
    made = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    sandbox = await made.start(base.Spec(runtime="python3"))
    print(sandbox.id, flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
