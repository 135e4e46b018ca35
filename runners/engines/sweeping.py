"""Removing the sandboxes that nobody is left to remove: again and again, by what is there and by who lives.

A runner that dies may have asked the engine for a container that comes about after it was looked for. So a dead runner
is remembered, in its lock file, until some seconds have passed and nothing more of it was found.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable

from faas.core import clock
from runners.engines import folder
from runners.sandbox import base

SETTLE_S = 5.0
"""How long an engine may take to carry out what a runner asked for just before it died."""

_LOOK_AGAIN_S = 0.25
_LAST_WITHIN_S = 3 * SETTLE_S

_log = logging.getLogger(__name__)


def sweep(
    folders: folder.SandboxFolders, found: Callable[[], Iterable[str]], remove: Callable[[str], bool], settle_s: float
) -> int:
    """Remove what is left behind of all sandboxes that are ``found`` or have a folder; how many were removed.

    ``remove`` says whether the sandbox has gone: if not, a later sweep tries again. Blocks.
    """
    settled = clock.steady_s() - settle_s
    # Before it is asked what there is: a runner that is seen dead only after that may have more than was found.
    dead = folders.dead()
    left = {sandbox for sandbox in found() if folders.is_left_behind(sandbox)}
    left.update(folders.left_behind())
    stuck = [sandbox for sandbox in sorted(left) if not remove(sandbox)]
    if stuck:
        _log.info("sandboxes_stuck", extra={"sandboxes": stuck})
    for runner in dead.keys() - {folder.runner_of(sandbox) for sandbox in stuck}:
        # Its lock is what makes others look: of a container that comes about later there is no other trace.
        if dead[runner] <= settled:
            folders.forget(runner)
    return len(left) - len(stuck)


async def sweep_at_the_end(folders: folder.SandboxFolders, sweep: Callable[[], Awaitable[int]]) -> None:
    """Whoever closes an engine may be the last: remove all of its own, and wait out those that died a moment ago."""
    folders.let_go_of_all()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WITHIN_S):
            try:
                await sweep()
                while await asyncio.to_thread(folders.dead):
                    await asyncio.sleep(_LOOK_AGAIN_S)
                    await sweep()
            except base.EngineUnavailable as error:
                _log.warning("not_swept", extra={"reason": error.message, "hint": "the next `faas up` does it"})
