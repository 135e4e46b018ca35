"""What failed for good."""

from __future__ import annotations

from typing import Any

import msgspec

from faas.api.schemas import attempts as attempt_bodies
from faas.core import model


class DeadLetterLine(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation that failed for good; ``retried_as`` is the one that its event was sent again as."""

    invocation_id: str
    function: str
    revision: int
    trigger: str
    status: model.Status
    attempts: int
    died_at_ms: int
    error: attempt_bodies.Failure | None
    retried_as: str | None


class DeadLetterList(msgspec.Struct, frozen=True):
    """Dead letters, newest first."""

    dead_letters: tuple[DeadLetterLine, ...]


class DeadLetter(DeadLetterLine, frozen=True, kw_only=True):
    """A dead letter with its event and the records of its attempts."""

    event: Any
    records: tuple[attempt_bodies.Attempt, ...]


class Retried(msgspec.Struct, frozen=True):
    """The dead letter, and the invocation that its event was sent again as."""

    invocation_id: str
    retried_as: str
