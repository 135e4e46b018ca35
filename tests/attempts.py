"""One attempt in a sandbox, awaited: for tests, which have nothing else to do meanwhile."""

from __future__ import annotations

import asyncio
from typing import Protocol

from faas.core import model
from runners.sandbox import base


class Runs(Protocol):
    """A sandbox, or the channel in it."""

    def run(self, invocation: model.Invocation, then: base.Then) -> None:
        """See `base.Sandbox.run`."""


def begun(sandbox: Runs, invocation: model.Invocation) -> asyncio.Future[base.Ran]:
    """Start an attempt; the future is its outcome, and raises `base.SandboxLost` where the platform has none."""
    future: asyncio.Future[base.Ran] = asyncio.get_running_loop().create_future()
    returned = False

    def then(outcome: base.Ran | base.SandboxLost) -> None:
        assert returned and not future.done(), "an attempt ended before it had begun, or twice"
        if isinstance(outcome, base.SandboxLost):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    sandbox.run(invocation, then)
    returned = True
    return future
