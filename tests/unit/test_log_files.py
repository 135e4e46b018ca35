"""The logs of the platform's own processes: how they are written, and how they are read again, whoever wrote them."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import msgspec
import pytest

from faas.cli import log_files, log_format, log_shares, platform_logs

ALL = log_files.PlatformFilter()


def written(**extra: object) -> str:
    """A line as a process writes it."""
    stream = io.StringIO()
    handler = log_shares.Handler(0, stream)
    handler.setFormatter(log_format.JsonFormatter())
    logger = logging.Logger("faas.test")
    logger.addHandler(handler)
    error = extra.pop("error", None)
    logger.warning("it_happened", extra=extra, exc_info=error)  # type: ignore[arg-type]
    return stream.getvalue().removesuffix("\n")


def event(at: int, process: str = "node", level: str = "info", **fields: object) -> str:
    """A line of a moment, in milliseconds after a full minute."""
    time = f"2026-11-29T10:00:{at // 1000:02d}.{at % 1000:03d}Z"
    return msgspec.json.encode({"time": time, "level": level, "logger": process, "action": f"e{at}", **fields}).decode()


def read(*texts: str) -> list[log_files.PlatformLine]:
    return list(log_files.read("node", texts))


def actions(lines: list[log_files.PlatformLine]) -> list[str]:
    return [line.action for line in lines]


def test_a_line_is_one_json_object_with_its_fields() -> None:
    line = written(function="f@1", count=3, path=Path("/x"), share=0.5, odd="a\nb \udc80")
    held = msgspec.json.decode(line)
    assert {key: held[key] for key in ("level", "logger", "action", "function", "count", "path", "share")} == {
        "level": "warning", "logger": "faas.test", "action": "it_happened", "function": "f@1", "count": 3, "path": "/x",
        "share": 0.5,
    }  # fmt: skip
    assert "\n" not in line
    (found,) = read(line)
    assert (found.level, found.action, found.fields["count"]) == ("warning", "it_happened", 3)


def test_a_traceback_and_long_texts_leave_it_one_json_object() -> None:
    try:
        raise ValueError("x" * 1_000_000)
    except ValueError as error:
        line = written(error=error, text="y" * 1_000_000)
    assert len(line) < log_shares.LINE_BYTES
    held = msgspec.json.decode(line)
    assert held["trace"].startswith("Traceback")
    assert held["text"].endswith("[cut: 1000000 characters]")


def test_lines_of_other_forms_are_read_and_what_goes_on_belongs_to_the_line_above() -> None:
    lines = read(
        "2026-11-29 10:00:01,250 WARNING runners.node redis_away hint='a b'",
        "Traceback (most recent call last):",
        "ValueError: x",
        "15970:M 29 Nov 2026 12:32:43.056 # Valkey is now ready to exit",
        '{"time": "no moment"}',
        event(2_000),
    )
    assert actions(lines) == [
        "runners.node redis_away hint='a b'\nTraceback (most recent call last):\nValueError: x",
        'Valkey is now ready to exit\n{"time": "no moment"}',
        "e2000",
    ]
    assert [line.level for line in lines] == ["warning", "warning", "info"]
    assert [line.at_ms % 1000 for line in lines] == [250, 56, 0]


def test_what_is_wanted_is_told_by_level_text_moment_function_and_invocation() -> None:
    lines = read(
        event(1, level="debug"), event(2, level="error", function="f@2", invocation_id="019a3f1c-7d2e"),
        event(3, revision="g@1", reason="Full Disk"),
    )  # fmt: skip
    wanted = {
        "level": log_files.PlatformFilter(level=40),
        "grep": log_files.PlatformFilter(grep="full disk"),
        "function": log_files.PlatformFilter(functions=("g", "h")),
        "invocation": log_files.PlatformFilter(invocation="019a3f1c"),
        "since": log_files.PlatformFilter(since_ms=lines[1].at_ms, until_ms=lines[1].at_ms),
    }
    found = {name: actions([line for line in lines if filter.wants(line)]) for name, filter in wanted.items()}
    assert found == {
        "level": ["e2"], "grep": ["e3"], "function": ["e3"], "invocation": ["e2"], "since": ["e2"],
    }  # fmt: skip


@pytest.mark.parametrize("most", [1, 7, 1_000, 5_000, 1 << 62])
def test_the_last_lines_are_those_of_the_file_set_aside_and_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(log_files, "_BLOCK_BYTES", 1_000)
    log = tmp_path / "node.log"
    texts = [event(number) + ("\ngoes on\n  and on" if number % 3 == 0 else "") for number in range(3_000)]
    log_files.aside(log).write_text("\n".join(texts[:2_000]) + "\n")
    log.write_text("\n".join(texts[2_000:]) + "\n")
    found = log_files.last("node", log, ALL, most)
    assert [line.raw for line in found] == texts[-most:]


def test_no_more_of_a_file_is_read_than_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "node.log"
    log.write_text("\n".join(event(number) for number in range(20_000)) + "\n")
    blocks: list[bytes] = []
    whole = log_files._blocks_from_end
    monkeypatch.setattr(
        log_files, "_blocks_from_end", lambda path: (blocks.append(each[0]) or each for each in whole(path))
    )
    since_ms = read(event(19_990))[0].at_ms
    assert len(log_files.last("node", log, log_files.PlatformFilter(since_ms=since_ms), 1 << 62)) == 10
    assert sum(map(len, blocks)) < log.stat().st_size / 4


def test_a_follower_gets_each_line_once_also_when_the_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    log.write_text(event(1) + "\n")
    follower = log_files.LogFollower("node", log)
    assert follower.read() == []
    with log.open("a") as file:
        file.write(event(2) + "\n" + event(3)[:10])
    assert actions(follower.read()) == ["e2"]
    with log.open("a") as file:
        file.write(event(3)[10:] + "\n" + event(4) + "\n")
    platform_logs.set_aside(log)
    with log.open("a") as file:
        file.write(event(5) + "\n")
    assert actions(follower.read()) == ["e3", "e4", "e5"]
    assert follower.read() == []


def test_a_process_that_starts_later_is_read_from_its_beginning_and_one_that_is_not_there_gives_nothing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "node-2.log"
    follower = log_files.LogFollower("node-2", log, from_start=True)
    assert follower.read() == []
    log.write_text(event(1) + "\n")
    assert actions(follower.read()) == ["e1"]
    assert log_files.last("gone", tmp_path / "gone.log", ALL, 10) == []


def test_a_name_stands_for_all_processes_of_its_kind() -> None:
    filter = log_files.PlatformFilter(processes=("node",))
    assert [name for name in ("node", "node-2", "nodes", "api") if filter.wants_of(name)] == ["node", "node-2"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"action":"not_made","reason":"full","trace":"a\\nValueError: x"}', "not_made: full: ValueError: x"),
        ("plain words", "plain words"),
        ("{broken", "{broken"),
    ],
)  # fmt: skip
def test_the_last_words_of_a_process_are_words(line: str, words: str) -> None:
    assert log_format.words(line) == words
