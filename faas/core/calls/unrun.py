"""The records of attempts that no sandbox finished: nothing was measured, so nothing is billed. Pure functions."""

from __future__ import annotations

from faas.core import model


def rejected(invocation: model.Invocation, memory_limit_mb: int, now_ms: int) -> model.Record:
    """The record of a call that never ran because its caller had gone."""
    failure = model.Failure("CallerGone", "the caller stopped waiting before a slot came free")
    waited_ms = max(now_ms - invocation.accepted_at_ms, 0)
    return _record(
        invocation, model.Status.REJECTED, failure, now_ms, queue_ms=waited_ms, memory_limit_mb=memory_limit_mb
    )


def cancelled(invocation: model.Invocation, now_ms: int) -> model.Record:
    """The record of an invocation that somebody took back before its next attempt began."""
    failure = model.Failure("Cancelled", "it was taken back before it ran")
    return _record(invocation, model.Status.REJECTED, failure, now_ms)


def replaced(invocation: model.Invocation, now_ms: int) -> model.Record:
    """The record of a timer's run that a later due time of the timer took the place of before it began."""
    failure = model.Failure("Replaced", "a later due time of its timer took its place before it ran")
    return _record(invocation, model.Status.REJECTED, failure, now_ms)


def not_started(invocation: model.Invocation, memory_limit_mb: int, now_ms: int, why: str) -> model.Record:
    """The record of a sync call that never ran because no sandbox can be started."""
    waited_ms = max(now_ms - invocation.accepted_at_ms, 0)
    failure = model.Failure("Platform.NoSandbox", why)
    return _record(
        invocation, model.Status.REJECTED, failure, now_ms, queue_ms=waited_ms, memory_limit_mb=memory_limit_mb
    )


def too_deep(invocation: model.Invocation, memory_limit_mb: int, now_ms: int, *, most: int) -> model.Record:
    """The record of an invocation that would be one link too many of a chain of functions that trigger one another."""
    failure = model.Failure(
        "Platform.ChainTooDeep",
        f"link {invocation.depth} of a chain of functions that trigger one another; {most} may follow the first",
    )
    return _record(invocation, model.Status.REJECTED, failure, now_ms, memory_limit_mb=memory_limit_mb, dead=True)


def lost(invocation: model.Invocation, node: str, now_ms: int, *, final: bool) -> model.Record:
    """The record of an attempt that ended with its node. ``final`` says that the invocation is not run again."""
    failure = model.Failure("Platform.Lost", f"node {node} went away while this attempt ran")
    dead = final and invocation.mode is model.Mode.ASYNC
    return _record(invocation, model.Status.LOST, failure, now_ms, node=node, final=final, dead=dead)


def _record(
    invocation: model.Invocation,
    status: model.Status,
    failure: model.Failure,
    now_ms: int,
    *,
    queue_ms: int = 0,
    memory_limit_mb: int = 0,
    node: str = "",
    final: bool = True,
    dead: bool = False,
) -> model.Record:
    return model.Record(
        invocation_id=invocation.id,
        attempt=invocation.attempt,
        function=invocation.function,
        revision=invocation.revision,
        trigger=invocation.trigger,
        mode=invocation.mode,
        status=status,
        accepted_at_ms=invocation.accepted_at_ms,
        started_at_ms=now_ms,
        ended_at_ms=now_ms,
        queue_ms=queue_ms,
        init_ms=0,
        duration_us=0,
        billed_ms=0,
        memory_limit_mb=memory_limit_mb,
        memory_peak_mb=0,
        cold_start=model.ColdStart.NONE,
        cost_micro=0,
        node=node,
        sandbox="",
        depth=invocation.depth,
        parent_id=invocation.parent_id,
        root_id=invocation.root_id,
        object=invocation.object,
        trace=invocation.trace,
        final=final,
        dead=dead,
        error=failure,
    )
