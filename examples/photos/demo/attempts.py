"""Which attempt read which object. Pure functions over what `faas records` and `faas logs` print as JSON.

A record knows its invocation and not its object; each handler of the example first prints which object it reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One record, and the object that it read (``bucket/key``; empty when its log does not say)."""

    object: str
    function: str
    invocation_id: str
    status: str
    cold_start_kind: str
    queue_ms: int
    init_ms: int
    duration_ms: float
    billed_ms: int
    memory_mb: int
    cost_pico: int
    error: str

    @property
    def ok(self) -> bool:
        """Whether the handler returned."""
        return self.status == "ok"


class _Reading(msgspec.Struct, frozen=True):
    reading: str


def join(records: Iterable[dict[str, Any]], lines: Iterable[dict[str, Any]]) -> list[Attempt]:
    """The records with the objects that their log lines name, oldest first."""
    objects = {line["invocation_id"]: found for line in lines if (found := _object(line["text"]))}
    ordered = sorted(records, key=lambda record: (record["started_at_ms"], record["invocation_id"]))
    return [_attempt(record, objects.get(record["invocation_id"], "")) for record in ordered]


def _object(text: str) -> str:
    try:
        return msgspec.json.decode(text, type=_Reading).reading
    except msgspec.DecodeError:  # any other line that was printed
        return ""


def _attempt(record: dict[str, Any], object: str) -> Attempt:
    error = record["error"]
    return Attempt(
        object=object,
        error=f"{error['type']}: {error['message']}" if error else "",
        **{name: record[name] for name in Attempt.__struct_fields__ if name not in ("object", "error")},
    )
