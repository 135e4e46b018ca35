"""``context.bucket()`` against real folders, over passed descriptors and in pieces over the connection."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_harness import FUNCTIONS, Agent, started_agent


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    folders = {name: tmp_path / name for name in ("photos", "thumbs")}
    for folder in folders.values():
        folder.mkdir()
    (folders["photos"] / "a.txt").write_text("content of a")
    (folders["photos"] / "b.bin").write_bytes(b"\x00\xff")
    (folders["photos"] / "deep").mkdir()
    (folders["photos"] / "deep" / "ü a.txt").write_text("äöü\nsecond\n")
    return folders


@pytest.fixture(params=[False, True], ids=["descriptors", "pieces"])
def agent(folders: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Agent]:
    with started_agent(folders) as agent:
        agent.in_pieces = request.param
        agent.load(FUNCTIONS / "buckets", buckets={"photos": "read", "thumbs": "write"})
        yield agent


def test_objects_are_read_as_files_bytes_and_text(agent: Agent) -> None:
    assert agent.invoke("reads").result == {
        "start": "äö",
        "whole": "äöü\nsecond\n",
        "lines": ["äöü\n", "second\n"],
        "bytes": "00ff",
        "text": "content of a",
    }


def test_objects_are_written_whole_in_every_way(agent: Agent, folders: dict[str, Path]) -> None:
    thumbs = folders["thumbs"]
    written = agent.invoke("writes").result
    assert written == ["archive.zip", "bytes", "copy", "deep/down/text", "large", "text"]
    assert (thumbs / "bytes").read_bytes() == b"\x00\xff"
    assert (thumbs / "text").read_text() == "ü"
    assert json.loads((thumbs / "deep/down/text").read_text()) == {"a": "ü"}
    assert (thumbs / "large").stat().st_size == 3_000_000
    assert (thumbs / "copy").read_text() == "content of a"
    assert zipfile.ZipFile(thumbs / "archive.zip").read("name") == b"content"


def test_an_exception_inside_with_discards_what_was_written(agent: Agent) -> None:
    assert agent.invoke("fails_while_writing").result == []
    assert [request["t"] for request in agent.requests].count("discard") == 3
    assert "commit" not in [request["t"] for request in agent.requests]


def test_an_object_that_is_not_closed_is_not_written_and_the_log_says_so(agent: Agent) -> None:
    frame = agent.invoke("forgets_to_close")
    assert frame.output == (
        "[WARNING] thumbs/forgotten was not closed, so it was not written\n"
        "[WARNING] thumbs/forgotten-text was not closed, so it was not written\n"
    )
    assert "commit" not in [request["t"] for request in agent.requests]


def test_an_error_before_close_publishes_nothing(agent: Agent, folders: dict[str, Path]) -> None:
    assert agent.invoke("raises_without_with").error["message"] == "before close"
    assert list(folders["thumbs"].iterdir()) == []
    assert agent.invoke("counts").result == 3


def test_what_an_ended_invocation_left_open_cannot_be_used(agent: Agent, folders: dict[str, Path]) -> None:
    agent.invoke("keeps")
    expected = "buckets can be used only while the invocation runs whose context gave them"
    assert agent.invoke("uses_kept").result == [expected, expected]
    assert list(folders["thumbs"].iterdir()) == []


def test_an_object_is_read_and_written_at_any_place_of_it(agent: Agent, folders: dict[str, Path]) -> None:
    (folders["photos"] / "large").write_bytes(bytes(range(256)) * 4_096)
    assert agent.invoke("seeks").result == {
        "end": [1_048_576, "fdfeff"],
        "middle": "80818283",
        "whole": 1_048_576,
        "past": "",
        "negative": "OSError",
        "lines": 3,
    }
    assert (folders["thumbs"] / "patched").read_bytes() == b"HEAD" + b"x" * 600_000 + b"\0" * 8 + b"tail"
    assert (folders["thumbs"] / "archive.zip").exists()


def test_what_a_signal_handler_tears_away_leaves_the_connection_whole(agent: Agent, folders: dict[str, Path]) -> None:
    (folders["photos"] / "large").write_bytes(b"0123456789" * 300_000)
    torn, wrong = agent.invoke("is_torn", timeout_ms=60_000).result
    assert torn > 5
    assert wrong == 0


def test_objects_that_were_let_go_are_closed_at_the_runner_before_the_attempt_ends(agent: Agent) -> None:
    assert agent.invoke("opens_many").result == 200
    assert len(agent.reading) <= 1


def test_objects_are_listed_in_order_and_by_prefix(agent: Agent) -> None:
    assert agent.invoke("lists").result == {
        "all": [["a.txt", 12, True], ["b.bin", 2, True], ["deep/ü a.txt", 14, True]],
        "prefix": ["deep/ü a.txt"],
        "after": ["b.bin", "deep/ü a.txt"],
        "exists": [True, False, False],
        "text": "<Bucket photos>",
    }


def test_a_long_list_is_fetched_by_the_page(agent: Agent, folders: dict[str, Path]) -> None:
    for number in range(2_003):
        (folders["photos"] / f"many-{number:05d}").touch()
    assert agent.invoke("counts").result == 2_006
    assert len([request for request in agent.requests if request["t"] == "list"]) == 3


def test_an_object_is_deleted(agent: Agent) -> None:
    assert agent.invoke("deletes").result is False


def test_refusals_are_the_built_in_errors_and_say_what_was_asked(agent: Agent) -> None:
    found = agent.invoke("refusals").result
    assert {name: kind for name, (kind, _message) in found.items()} == {
        "missing": "FileNotFoundError",
        "read only": "PermissionError",
        "key that is no text": "ValueError",
        "bad key": "ValueError",
        "undeclared": "PermissionError",
        "mode": "ValueError",
        "long key": "ValueError",
        "delete": "FileNotFoundError",
    }
    assert found["missing"][1] == "photos/none: no such object"
    assert "write `buckets: {other: read}`" in found["undeclared"][1]
    assert "never appended to" in found["mode"][1]


def test_threads_may_use_buckets_at_once(agent: Agent) -> None:
    assert agent.invoke("threads").result == [160, 1]


def test_a_thread_that_outlives_the_handler_is_refused(agent: Agent) -> None:
    with started_agent(agent.buckets) as other:
        other.load(FUNCTIONS / "outlives", buckets={"photos": "read"})
        other.invoke("bucket thread")
        assert "refused: buckets can be used only while" in other.invoke("go").output
