"""What `faas up` prints in the foreground."""

from __future__ import annotations

from typing import Any

import msgspec

from faas.cli import watching
from tests import samples


class Api:
    """A control API's answers, as a test has them."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.records: list[dict[str, Any]] = []

    def get(self, path: str, **query: Any) -> Any:
        if path.endswith("/logs"):
            found = [line for line in self.lines if line["id"] > (query.get("after_id") or 0)]
            tail = found[-query["tail"] :] if query["tail"] else []
            return {"lines": tail, "next_id": self.lines[-1]["id"] if self.lines else 0}
        found = [each for each in self.records if each["ended_at_ms"] >= query["since_ms"]]
        newest = sorted(found, key=lambda each: each["ended_at_ms"], reverse=True)
        return {"records": newest[: query["limit"]]}

    def ran(self, ended_at_ms: int, **more: Any) -> None:
        record = msgspec.to_builtins(samples.ended(ended_at_ms=ended_at_ms, attempt=len(self.records) + 1))
        shown = {"duration_ms": 7.0, "cold_start_kind": "none", "error": None, "object": None}
        self.records.append(
            {**dict(zip(type(samples.ended()).__struct_fields__, record, strict=True)), **shown, **more}
        )

    def printed(self, at_ms: int, text: str) -> None:
        line = {"id": len(self.lines) + 1, "at_ms": at_ms, "function": "hello", "revision": 1, "text": text}
        self.lines.append(line)


def test_each_attempt_and_each_line_is_told_once_in_the_order_of_moments() -> None:
    api = Api()
    api.printed(1, "before")
    api.ran(99_000)
    watcher = watching.Watcher(api.get, 100_000)
    assert watcher.news() == []
    api.printed(100_001, "greeting Ada")
    api.ran(100_003, object="photos/a.jpg")
    api.ran(100_002, error={"type": "ValueError", "message": "no\nmore"}, status="error")
    first = watcher.news()
    assert [text.split()[1:3] for text in first] == [["hello@1", "|"], ["hello@1", "http"], ["hello@1", "http"]]
    assert "photos/a.jpg ok 7.00 ms" in first[2]
    assert first[1].endswith(" ValueError: no")
    assert watcher.news() == []
    api.ran(100_001)  # recorded late
    assert len(watcher.news()) == 1


def test_of_a_flood_the_newest_are_told_and_that_there_was_more() -> None:
    api = Api()
    watcher = watching.Watcher(api.get, 0)
    watcher.news()
    for n in range(500):
        api.printed(n, f"line {n}")
    told = watcher.news()
    assert (len(told), told[-2].endswith("| line 499")) == (51, True)
    assert told[-1] == "  and more: see `faas logs` and `faas records`"
    assert watcher.news() == []
