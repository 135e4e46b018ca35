"""Once a day: what the bucket ``inbox`` holds, as one JSON object of the bucket ``summaries``.

The object is named by the day that has ended at the due time, and counts only what was last written before it. So a
second run for a day writes the same object again, also when it runs late.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    due = due_time(event)
    day = (due - timedelta(seconds=1)).date().isoformat()
    found = [each for each in context.bucket("inbox").list() if each.modified_ms < due.timestamp() * 1000]
    summary = {"day": day, **summarized(found)}
    with context.bucket("summaries").open(f"{day}.json", "w") as file:
        json.dump(summary, file, indent=2, ensure_ascii=False)
    print(f"{day}: {summary['count']} objects, {summary['bytes']} bytes")
    return summary


def due_time(event: dict[str, Any]) -> datetime:
    """When a timer was due; called by hand with no time, it is now."""
    return datetime.fromisoformat(event["time"]) if "time" in event else datetime.now(UTC)


def summarized(objects: Iterable[Any]) -> dict[str, Any]:
    """Number and bytes of the objects, in all and per suffix, and which of them is the newest."""
    by_suffix: dict[str, dict[str, int]] = {}
    newest: Any = None
    for each in objects:
        part = by_suffix.setdefault(suffix(each.key), {"count": 0, "bytes": 0})
        part["count"] += 1
        part["bytes"] += each.size
        if newest is None or each.modified_ms > newest.modified_ms:
            newest = each
    return {
        "count": sum(part["count"] for part in by_suffix.values()),
        "bytes": sum(part["bytes"] for part in by_suffix.values()),
        "newest": newest and {"key": newest.key, "written": moment(newest.modified_ms)},
        "by_suffix": dict(sorted(by_suffix.items())),
    }


def suffix(key: str) -> str:
    """``in/A.JPG`` -> ``.jpg``; keys without one are put together under ``none``."""
    return posixpath.splitext(key)[1].lower() or "none"


def moment(at_ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
