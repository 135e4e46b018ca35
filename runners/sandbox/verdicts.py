"""How an attempt or a load ended, said in the words that Lambda users know. Pure functions."""

from __future__ import annotations

import signal

import msgspec

from faas.core import model
from faas.core.calls import retry
from runners.sandbox import frames

RESERVED_EXIT = 128
_SIGKILL_EXIT = RESERVED_EXIT + signal.SIGKILL


class OutOfMemory(msgspec.Struct, frozen=True):
    """The kernel killed the sandbox at its memory limit."""


class Exited(msgspec.Struct, frozen=True):
    """The agent's process ended; ``status`` as a shell has it (128 + the signal's number), None when it runs still."""

    status: int | None


class Vanished(msgspec.Struct, frozen=True):
    """The sandbox has gone and nobody can say why, so it is the platform's fault."""

    reason: str


Death = OutOfMemory | Exited | Vanished


class Ending(msgspec.Struct, frozen=True):
    """A status and the error that goes with it."""

    status: model.Status
    error: model.Failure


def death(exit_status: int | None, oom_killed: bool) -> Death:
    """What an exit means: only a process that SIGKILL ended can have been the victim of the memory limit."""
    # A child process of the handler may have been the victim, and the agent have ended for another reason.
    if oom_killed and exit_status == _SIGKILL_EXIT:
        return OutOfMemory()
    return Exited(exit_status)


def of_death(found: OutOfMemory | Exited, who: str, memory_mb: int) -> Ending:
    """The ending of what ran when the sandbox died. ``who`` is its `request`."""
    if isinstance(found, OutOfMemory):
        text = f"{who}Error: Runtime exited with error: out of memory (the limit is {memory_mb} MB)"
        return Ending(model.Status.OOM, model.Failure("Runtime.OutOfMemory", text))
    if found.status is None:
        return broken("the connection to the platform was closed", who)
    text = f"{who}Error: Runtime exited with error: {_exit_text(found.status)}"
    return Ending(model.Status.ERROR, model.Failure("Runtime.ExitError", text))


def timed_out(timeout_ms: int, who: str, what: str = "Task") -> Ending:
    """The ending of what took longer than it may."""
    text = f"{who}Error: {what} timed out after {timeout_ms / 1000:.2f} seconds"
    return Ending(model.Status.TIMEOUT, model.Failure("Sandbox.Timedout", text))


def broken(reason: str, who: str) -> Ending:
    """The ending of an attempt whose code wrote to the agent's own connection."""
    return Ending(model.Status.ERROR, model.Failure("Runtime.ProtocolError", f"{who}Error: {reason}"))


def too_large(size: int, limit: int) -> model.Failure:
    """The error of a result over the limit."""
    text = f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({limit} bytes)."
    return model.Failure("Function.ResponseSizeTooLarge", text)


def too_deep(levels: int) -> model.Failure:
    """The error of a result that its encoder took and not everybody could read."""
    return model.Failure("Runtime.MarshalError", f"Unable to marshal response: nested over {levels} levels deep")


def failure(fault: frames.UserFault) -> model.Failure:
    """The agent's description of an error as the platform's."""
    return model.Failure(fault.type, fault.message, fault.stack)


def wish(header: frames.Error) -> retry.Wish | None:
    """What the handler's exception asks for about a further attempt."""
    if not header.no_retry and header.retry_after_ms is None:
        return None
    return retry.Wish(header.no_retry, header.retry_after_ms)


def request(invocation_id: str) -> str:
    """How a message begins that is about an invocation."""
    return f"RequestId: {invocation_id} "


def _exit_text(status: int) -> str:
    if status <= RESERVED_EXIT:
        return f"exit status {status}"
    try:
        name = signal.strsignal(status - RESERVED_EXIT)
    except ValueError:
        name = None
    return f"signal: {name.lower()}" if name else f"exit status {status}"
