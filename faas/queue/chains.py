"""Where a chain of functions that trigger one another ends; pure functions."""

from __future__ import annotations

from faas.core import model
from faas.core.calls import unrun
from faas.queue import destined, outbox

MAX_DEPTH = 16
"""Links of a chain; what would be one more is accepted, does not run, and is dead."""


def refusal(invocation: model.Invocation, config: model.FunctionConfig) -> outbox.Refusal:
    """What becomes of an invocation that is past `MAX_DEPTH`.

    The first one past it tells the destination of its failure. What follows from that tells nobody: otherwise a chain
    of failures would go on for ever.
    """
    record = unrun.too_deep(invocation, config.memory_mb, invocation.accepted_at_ms, most=MAX_DEPTH)
    if config.on_failure is None or invocation.depth > MAX_DEPTH + 1:
        return outbox.Refusal(record)
    return outbox.Refusal(record, destined.settled(record, model.Condition.CHAIN_TOO_DEEP))
