"""One look at one object: whether it is there, and complete. Everything here blocks."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable

import msgspec

from faas import buckets
from faas.core import errors, model
from triggers import backlog

_log = logging.getLogger(__name__)


class State(enum.Enum):
    """What one look says of an object."""

    GONE = "gone"
    GROWING = "growing"
    UNREADABLE = "unreadable"
    COMPLETE = "complete"


class Seen(msgspec.Struct, frozen=True):
    """An object as one look found it. ``writer`` is the invocation that wrote it; None for what came from outside."""

    look: backlog.Look
    state: State
    object: buckets.Object | None = None
    writer: buckets.Writer | None = None

    @property
    def depth(self) -> int:
        """The depth of an invocation that it triggers: one more than its writer's."""
        return 0 if self.writer is None else self.writer.depth + 1

    @property
    def parent_id(self) -> str | None:
        """The invocation that wrote it, where it is known."""
        return (self.writer.invocation_id or None) if self.writer is not None else None

    @property
    def trace(self) -> model.TraceContext | None:
        """The trace that its writer was in, when somebody brought one."""
        return self.writer.trace if self.writer is not None else None

    @property
    def root_id(self) -> str | None:
        """The first invocation of its writer's chain, where it is known."""
        return (self.writer.root_id or None) if self.writer is not None else None


def see_all(bucket: buckets.Bucket, looks: Iterable[backlog.Look]) -> list[Seen]:
    """Look at several objects."""
    return [see(bucket, look) for look in looks]


def see(bucket: buckets.Bucket, look: backlog.Look) -> Seen:
    """Look at one object."""
    try:
        found = bucket.look(look.key, look.sign)
    except (errors.NotFound, errors.BadRequest, errors.Conflict):
        return Seen(look, State.GONE)
    except errors.FaasError as error:
        if look.tries == 0:
            _log.warning("object_unreadable", extra={"bucket": bucket.name, "key": look.key, "reason": error.message})
        return Seen(look, State.UNREADABLE)
    if not found.is_complete:
        return Seen(look, State.GROWING)
    return Seen(look, State.COMPLETE, found.object, found.writer)
