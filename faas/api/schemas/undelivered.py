"""Records that could not be delivered to their destination."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from faas.core import model

_Doc = msgspec.Meta


class UndeliveredLine(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be delivered to the destination of the function that ran."""

    invocation_id: str
    function: str
    revision: int
    condition: model.Condition
    destination: str
    attempts: Annotated[int, _Doc(description="How often it was sent.")]
    reason: str
    given_up_at_ms: int


class UndeliveredList(msgspec.Struct, frozen=True):
    """Undelivered records, newest first."""

    undelivered: tuple[UndeliveredLine, ...]


class Undelivered(UndeliveredLine, frozen=True, kw_only=True):
    """An undelivered record with the event of its invocation, and what the handler returned (null for bytes)."""

    event: Any
    result: Any
