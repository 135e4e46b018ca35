"""The examples that use buckets, in the real agent: `digest`, and `notes` with its packages installed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from faas.core import events
from faas.core.manifest import loading
from tests.agent_harness import Agent, started_agent
from tests.http_requests import ID, http
from tests.installed_functions import installed

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def loaded(example: str, code: Path, folder: Path) -> Iterator[Agent]:
    """The example's one function, with the buckets that its manifest declares as folders."""
    (function,) = loading.load(EXAMPLES / example).functions
    declared = {name: str(access) for name, access in function.config.buckets.items()}
    for name in declared:
        (folder / name).mkdir()
    with started_agent({name: folder / name for name in declared}) as agent:
        frame = agent.load(code, function.config.handler, buckets=declared)
        assert frame.kind == "loaded", frame.output
        yield agent


def test_digest_counts_what_was_there_at_the_due_time_and_a_second_run_writes_the_same(tmp_path: Path) -> None:
    with loaded("digest", EXAMPLES / "digest", tmp_path) as agent:
        for key, day in {"a.jpg": "2026-05-03", "deep/b.JPG": "2026-05-04", "later.jpg": "2026-05-06"}.items():
            write(tmp_path / "inbox" / key, b"12345", at_s=due_s(f"{day}T12:00:00Z"))
        agent.invoke(timer("2026-05-05T00:00:00Z"))
        first = (tmp_path / "summaries" / "2026-05-04.json").read_bytes()
        agent.invoke(timer("2026-05-05T00:00:00Z"))
        assert (tmp_path / "summaries" / "2026-05-04.json").read_bytes() == first
        assert [path.name for path in (tmp_path / "summaries").iterdir()] == ["2026-05-04.json"]
        assert json.loads(first) == {
            "day": "2026-05-04",
            "count": 2,
            "bytes": 10,
            "newest": {"key": "deep/b.JPG", "written": "2026-05-04T12:00:00.000+00:00"},
            "by_suffix": {".jpg": {"count": 2, "bytes": 10}},
        }


@pytest.fixture
def notes(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Agent]:
    code = installed(EXAMPLES / "notes", request.config.cache.mkdir("functions"))
    with loaded("notes", code, tmp_path) as agent:
        yield agent


def test_notes_are_added_listed_newest_first_and_deleted(notes: Agent) -> None:
    assert answer(notes, "GET", "/notes/items") == (200, [])
    first, second = ID, ID.replace("0190", "0191")
    assert add(notes, "one", first)[0] == 201
    status, note = add(notes, "zwei <b>", second)
    assert (status, note["id"], note["text"]) == (201, second, "zwei <b>")
    assert texts(notes) == ["zwei <b>", "one"]
    assert answer(notes, "DELETE", f"/notes/items/{second}") == (204, None)
    assert answer(notes, "DELETE", f"/notes/items/{second}") == (404, {"detail": "no such note"})
    assert texts(notes) == ["one"]


def test_an_attempt_that_is_run_again_adds_its_note_once(notes: Agent, tmp_path: Path) -> None:
    assert [add(notes, "once", ID)[0], add(notes, "once", ID)[0]] == [201, 201]
    assert [path.name for path in (tmp_path / "notes").iterdir()] == [f"{ID}.json"]


@pytest.mark.parametrize("text", ["", "x" * 2_001])
def test_a_note_of_no_text_or_too_much_is_refused(notes: Agent, text: str) -> None:
    assert add(notes, text, ID)[0] == 422
    assert texts(notes) == []


def test_an_id_that_is_none_is_refused(notes: Agent) -> None:
    assert answer(notes, "DELETE", "/notes/items/..%2Fother")[0] in (404, 422)


def test_the_page_is_html_that_asks_for_the_notes(notes: Agent) -> None:
    reply = events.http_reply(notes.invoke(http("GET", "/notes")).body, False)
    assert dict(reply.headers)["content-type"] == "text/html; charset=utf-8"
    assert b"/notes/items" in reply.body


def timer(due: str) -> bytes:
    return events.timer_event(invocation_id=ID, due_ms=due_s(due) * 1000, function="digest", trigger=0, region="local")


def due_s(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def write(path: Path, content: bytes, at_s: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at_s, at_s))


def answer(agent: Agent, method: str, path: str, body: Any = None, id: str = ID) -> tuple[int, Any]:
    """Status and decoded JSON body (None when there is none), read as the gateway reads them."""
    data = b"" if body is None else json.dumps(body).encode()
    frame = agent.invoke(http(method, path, body=data, content_type="application/json"), id=id)
    assert frame.kind == "result", frame.output
    reply = events.http_reply(frame.body, frame.header["bytes"])
    return reply.status, json.loads(reply.body) if reply.body else None


def add(agent: Agent, text: str, id: str) -> tuple[int, Any]:
    return answer(agent, "POST", "/notes/items", {"text": text}, id)


def texts(agent: Agent) -> list[str]:
    return [note["text"] for note in answer(agent, "GET", "/notes/items")[1]]
