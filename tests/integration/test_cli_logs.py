"""`faas logs` at the command line: filters, columns, exports, the platform's own lines, what is said of mistakes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faas.core import model
from faas.core import settings as settings_module
from tests.command import faas
from tests.served_api import ControlApi, serving

JSON_LINE = '{{"level": "info", "message": "order taken", "size": {size}, "user": {{"id": {user}}}}}'
ERROR = "[ERROR] ValueError: too large"


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        served.deploy()
        served.functions.activate([], [model.Bucket(name="archive")])
        yield served


def taken(api: ControlApi, size: int, user: int = 1, *more: str, **changes: object) -> model.Record:
    """An attempt that told of an order."""
    texts = (JSON_LINE.format(size=size, user=user), *more)
    return api.record(logs=tuple(model.LogLine(1_000, text) for text in texts), **changes)


async def said(api: ControlApi, *options: str) -> tuple[int, list[str], str]:
    done = await faas(api.settings.data.root, "logs", *options)
    return done.code, done.out.splitlines(), done.err


async def texts(api: ControlApi, *options: str) -> list[str]:
    code, lines, err = await said(api, *options, "--json")
    assert code == 0, err
    return [line["text"] for line in json.loads(lines[0])]


async def test_lines_are_filtered_by_functions_level_status_text_and_fields(api: ControlApi) -> None:
    small = taken(api, 10, 7)
    taken(api, 6_000, 3, ERROR, status=model.Status.ERROR)
    taken(api, 20, 3, function="other")
    assert await texts(api, "hello", "other", "--where", "size<100") == [
        JSON_LINE.format(size=10, user=7), JSON_LINE.format(size=20, user=3)
    ]  # fmt: skip
    assert await texts(api, "--level", "error") == [ERROR]
    assert await texts(api, "--status", "failed", "--grep", "VALUEERR") == [ERROR]
    assert await texts(api, "--where", "user.id=3", "--where", "size>20") == [JSON_LINE.format(size=6_000, user=3)]
    assert await texts(api, "--root", small.invocation_id) == [JSON_LINE.format(size=10, user=7)]
    assert await texts(api, "--grep", "nothing like it") == []


async def test_fields_are_columns(api: ControlApi) -> None:
    taken(api, 10, 7, "plain")
    code, lines, _ = await said(api, "hello", "--fields", "size,user.id,none")
    assert code == 0
    assert lines[0].split() == ["time", "invocation", "level", "size", "user.id", "none", "message"]
    assert lines[1].split()[-5:] == ["info", "10", "7", "order", "taken"]
    assert lines[2].split()[-1] == "plain"


async def test_all_that_fits_goes_into_a_file_a_bucket_or_stdout(api: ControlApi, tmp_path: Path) -> None:
    for size in range(30):
        taken(api, size)
    file = tmp_path / "out.ndjson"
    file.write_text("old")
    code, _, err = await said(api, "--where", "size>=10", "--export", str(file))
    assert (code, "20 lines" in err) == (0, True)
    sizes = [json.loads(line)["fields"]["size"] for line in file.read_text().splitlines()]
    assert sizes == list(range(10, 30))
    code, lines, _ = await said(api, "--export", "-")
    assert (code, len(lines)) == (0, 30)
    code, _, err = await said(api, "--export", "archive:logs/all.ndjson")
    assert code == 0, err
    kept = next(api.settings.data.root.glob("buckets/archive/logs/all.ndjson"))
    assert kept.read_text().splitlines() == lines
    assert list(tmp_path.glob(".faas-*")) == []


async def test_a_file_that_cannot_be_written_is_refused_and_what_was_there_stays(
    api: ControlApi, tmp_path: Path
) -> None:
    code, _, err = await said(api, "--export", str(tmp_path / "no" / "out.ndjson"))
    assert (code, "No such file" in err) == (2, True)
    file = tmp_path / "out.ndjson"
    file.write_text("old")
    code, _, err = await said(api, "--where", "size>", "--export", str(file))
    assert (code, file.read_text()) == (2, "old")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--where", "size>"), "nothing to compare with"),
        (("-f", "--until", "1h"), "--until names one"),
        (("-f", "--export", "x"), "goes with neither"),
        (("--process", "node"), "names a process of the platform"),
        (("--platform", "--where", "a=1"), "--where is about what functions print"),
        (("--platform", "--export", "x"), "--export is about"),
        (("--level", "loud"), "loud"),
    ],
)
async def test_what_cannot_be_together_or_is_no_condition_is_said(
    api: ControlApi, options: tuple[str, ...], says: str
) -> None:
    code, _, err = await said(api, *options)
    assert (code, says in err) == (2, True), err


async def test_the_platform_speaks_for_itself_whether_it_runs_or_not(settings: settings_module.Settings) -> None:
    root = settings.data.root
    gone = await faas(root, "logs", "--platform")
    assert (gone.code, "there are no logs in" in gone.err) == (4, True)
    (root / "logs").mkdir()
    for process, second in (("node", 1), ("api", 2), ("node", 3)):
        with (root / "logs" / f"{process}.log").open("a") as log:
            line = {
                "time": f"2026-11-29T10:00:0{second}.000Z",
                "level": "warning",
                "logger": "x",
                "action": f"a{second}",
            }
            log.write(json.dumps({**line, "function": "f@1", "reason": "two words"}) + "\n")
    done = await faas(root, "logs", "--platform")
    assert [line.split()[2:5] for line in done.out.splitlines()] == [
        ["node", "WARNING", "a1"], ["api", "WARNING", "a2"], ["node", "WARNING", "a3"]
    ]  # fmt: skip
    assert 'reason="two words"' in done.out
    chosen = await faas(root, "logs", "f", "--platform", "--process", "node", "-n", "1", "--json")
    assert [(line["process"], line["action"], line["fields"]["function"]) for line in json.loads(chosen.out)] == [
        ("node", "a3", "f@1")
    ]
    wrong = await faas(root, "logs", "--platform", "--process", "nod")
    assert (wrong.code, "there are api, node" in wrong.err) == (4, True)
