"""What a settled async invocation leaves for its destination, beside the invocation itself; no I/O."""

from __future__ import annotations

import hashlib

import msgspec

from faas.core import model

SUCCESS = "success"
FAILURE = "failure"
MESSAGE = "message"


class Settled(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How an invocation was settled: its last record (without its log), why, and what its handler returned."""

    record: model.Record
    condition: model.Condition
    body: bytes = b"null"
    is_bytes: bool = False

    @property
    def record_ref(self) -> str:
        """The revision that ran."""
        return f"{self.record.function}@{self.record.revision}"

    @property
    def way(self) -> str:
        """Which of the revision's destinations it is for."""
        return way_of(self.condition)

    @property
    def outbox(self) -> str:
        """The member of `keys.Keys.outboxes` that it goes to."""
        return f"{self.record_ref} {self.way}"


class Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Something for a destination that no invocation is behind. ``body`` is JSON; ``of`` names who sends it.

    The ``id`` is its own and no other message's: whoever gets it twice knows it by that.
    """

    id: str
    of: str
    body: bytes


def place_of(destination: bytes) -> str:
    """What stands for a destination (msgpack) where an outbox of records has its revision."""
    return f"to-{hashlib.sha256(destination).hexdigest()[:24]}"


def way_of(condition: model.Condition) -> str:
    """``success`` or ``failure``."""
    return SUCCESS if condition is model.Condition.SUCCESS else FAILURE


def settled(
    record: model.Record, condition: model.Condition, body: bytes = b"null", *, is_bytes: bool = False
) -> Settled:
    """What goes into the outbox. The log stays out: it is in the ledger."""
    kept = msgspec.structs.replace(record, logs=()) if record.logs else record
    return Settled(record=kept, condition=condition, body=body, is_bytes=is_bytes)
