"""What the platform recorded and bills, asked for once everything has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from examples.photos.demo import attempts, platform, watch

_MOST_RECORDS = "10000"
_WITHIN_S = 60


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """All that was recorded of the two stages, and what it is billed."""

    status: dict[str, Any]
    first: list[attempts.Attempt]
    second: list[attempts.Attempt]
    bill: dict[str, Any]


def read(own: platform.Platform) -> Ledger:
    """Wait until every attempt that has ended is in the ledger, and read it. Raises `failures.Failed`."""
    status = own.ask("status")
    first, second = (_attempts(own, stage, status) for stage in (watch.FIRST, watch.SECOND))
    return Ledger(status=status, first=first, second=second, bill=own.ask("bill"))


def _attempts(own: platform.Platform, function: str, status: Mapping[str, Any]) -> list[attempts.Attempt]:
    places = status["functions"][function]
    ended = places["done"] + places["dead"]

    def written() -> list[dict[str, Any]] | None:
        records: list[dict[str, Any]] = own.ask("records", function, "--limit", _MOST_RECORDS)
        return records if len({record["invocation_id"] for record in records}) >= ended else None

    records = (
        watch.until(written, f"the record of each of {ended} invocations of {function}", _WITHIN_S) if ended else []
    )
    return attempts.join(records, own.ask("logs", function, "--tail", "all") if ended else [])
