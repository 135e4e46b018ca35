"""The demo's own judgement: what it makes, what it looks for, and that it would notice if something were wrong."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from examples.photos.demo import (
    attempts,
    calls,
    checks,
    failures,
    findings,
    interrupts,
    looks,
    photos,
    platform,
    report,
    results,
    watch,
)
from examples.photos.demo import sheet as sheet_module

ORIGINALS = Path(photos.__file__).parents[1] / "originals"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, photos.Photo]:
    return {photo.name: photo for photo in photos.shipped(ORIGINALS, tmp_path_factory.mktemp("made"))}


def record(invocation: str = "1", status: str = "ok", **fields: Any) -> dict[str, Any]:
    failed = {"type": "NotAPhoto", "message": "it is empty", "stack": []}
    return {
        "function": "transcode", "invocation_id": invocation, "status": status, "cold_start_kind": "none",
        "queue_ms": 1, "init_ms": 0, "duration_ms": 12.345, "billed_ms": 13, "memory_mb": 80, "cost_pico": 1_000,
        "error": None if status == "ok" else failed, "started_at_ms": 5, "node": "n", **fields,
    }  # fmt: skip


def line(invocation: str, text: str) -> dict[str, Any]:
    return {"invocation_id": invocation, "text": text, "id": 1, "at_ms": 1}


def read(*objects: str, status: str = "ok") -> list[attempts.Attempt]:
    records = [record(str(number), status) for number, _ in enumerate(objects)]
    lines = [line(str(number), f'{{"reading": "{name}"}}') for number, name in enumerate(objects)]
    return attempts.join(records, lines)


# --- what is dropped


def test_three_photos_are_made_of_the_six_that_are_shipped(shipped: dict[str, photos.Photo]) -> None:
    assert len(shipped) == 9
    large, turned, cut = (shipped[name] for name in ("enlarged.jpg", "turned.jpg", "transparent.png"))
    with Image.open(large.path) as image:
        assert image.width * image.height >= 12_000_000
    with Image.open(turned.path) as image:
        assert (image.size, image.getexif()[0x0112]) == ((300, 451), 6)
    assert turned.look and (turned.look.width, turned.look.height) == (451, 300)
    assert cut.look and cut.look.transparent
    assert cut.look == looks.of_file(cut.path)


def test_the_turned_photo_looks_like_the_one_it_is_made_of(shipped: dict[str, photos.Photo]) -> None:
    turned, source = looks.of_file(shipped["turned.jpg"].path), shipped["chelsea.png"].look
    assert turned and source
    assert checks.orientation_faults(source.cells, turned.cells) == []


def test_a_folder_gives_its_photos_with_their_paths_and_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    (tmp_path / ".cache").mkdir()
    for name in ("b.JPG", "trip/ä %41+.png", ".hidden.jpg", ".cache/c.jpg", "notes.txt", "empty.jpg"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / os.fsdecode(b"latin-\xe4.jpg")).write_bytes(b"")
    chosen, left_out = photos.of_folder(tmp_path)
    assert [photo.key for photo in chosen] == ["in/b.JPG", "in/empty.jpg", "in/trip/ä %41+.png"]
    assert [photo.look for photo in chosen] == [None, None, None]
    assert left_out == ["latin-?.jpg", "notes.txt"]


def test_a_folder_without_a_photo_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(failures.Failed, match=f"no photograph is in {tmp_path}"):
        photos.of_folder(tmp_path)
    with pytest.raises(failures.Failed, match="is no folder"):
        photos.of_folder(tmp_path / "missing")


def test_dropped_photos_appear_whole_and_nothing_else_stays(shipped: dict[str, photos.Photo], tmp_path: Path) -> None:
    findings.drop(shipped.values(), tmp_path)
    assert {path.name for path in (tmp_path / "in").iterdir()} == set(shipped)
    assert (tmp_path / "in/rocket.jpg").read_bytes() == shipped["rocket.jpg"].path.read_bytes()


# --- outputs


def transcoded(photo: photos.Photo, thumbs: Path, *, turn: Image.Transpose | None = None) -> dict[str, Any]:
    """The outputs of a photo as they should be, or turned."""
    for key, side in zip(photo.outputs, (None, 320), strict=True):
        (thumbs / key).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo.path) as image:
            made = image.transpose(turn) if turn is not None else image.copy()
            if side:
                made.thumbnail((side, side))
            made.save(thumbs / key, "WEBP")
    return findings.outputs(photo, thumbs)


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "hubble_deep_field.jpg", "transparent.png"])
def test_right_outputs_have_no_fault(shipped: dict[str, photos.Photo], tmp_path: Path, name: str) -> None:
    assert checks.output_faults(shipped[name], transcoded(shipped[name], tmp_path)) == []


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_an_output_that_lies_or_is_mirrored_is_noticed(
    shipped: dict[str, photos.Photo], tmp_path: Path, turn: Image.Transpose
) -> None:
    found = transcoded(shipped["astronaut.png"], tmp_path, turn=turn)  # a square one: its size says nothing
    assert checks.output_faults(shipped["astronaut.png"], found) == [
        "in/astronaut.png: thumbs/full/astronaut.png.webp is turned or mirrored",
        "in/astronaut.png: thumbs/small/astronaut.png.webp is turned or mirrored",
    ]


def test_the_tag_of_the_turned_photo_left_out_of_account_is_noticed(
    shipped: dict[str, photos.Photo], tmp_path: Path
) -> None:
    faults = checks.output_faults(shipped["turned.jpg"], transcoded(shipped["turned.jpg"], tmp_path))
    assert "in/turned.jpg: thumbs/full/turned.jpg.webp has 300 x 451 pixels, expected 451 x 300" in faults
    assert "in/turned.jpg: thumbs/small/turned.jpg.webp is turned or mirrored" in faults


def test_missing_broken_and_foreign_outputs_are_noticed(shipped: dict[str, photos.Photo], tmp_path: Path) -> None:
    rocket = shipped["rocket.jpg"]
    full, small = rocket.outputs
    assert rocket.look and shipped["retina.jpg"].look
    assert checks.output_faults(rocket, {}) == [
        f"in/rocket.jpg: thumbs/{full} is missing",
        f"in/rocket.jpg: thumbs/{small} is missing",
    ]
    (tmp_path / "full").mkdir()
    (tmp_path / full).write_bytes(b"RIFF....WEBP")
    assert checks.output_faults(rocket, findings.outputs(rocket, tmp_path))[0].endswith("is no image")
    other = msgspec.structs.replace(rocket.look, cells=shipped["retina.jpg"].look.cells)
    assert checks.look_faults(rocket.look, other, small=False) == ["is JPEG, expected WEBP", "shows another picture"]


def test_lost_transparency_is_noticed(shipped: dict[str, photos.Photo]) -> None:
    look = shipped["transparent.png"].look
    assert look
    opaque = msgspec.structs.replace(look, format="WEBP", transparent=False)
    assert checks.look_faults(look, opaque, small=False) == ["has lost its transparency"]


@pytest.mark.parametrize(
    ("size", "small"),
    [((640, 427), (320, 214)), ((300, 451), (213, 320)), ((100, 50), (100, 50)), ((9000, 1), (320, 1))],
)
def test_thumbnails_keep_proportions_and_enlarge_nothing(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert checks.small_size(*size) == small


# --- the ledger


def test_records_find_their_objects_by_what_the_handlers_printed() -> None:
    lines = [line("1", "a warning"), line("1", '{"reading": "photos/in/ä b.jpg"}'), line("2", '{"other": 1}')]
    first, second = attempts.join([record("2", "error", started_at_ms=9), record("1")], lines)
    assert (first.object, first.ok, first.error) == ("photos/in/ä b.jpg", True, "")
    assert (second.object, second.ok, second.error) == ("", False, "NotAPhoto: it is empty")


def test_one_successful_record_per_object_is_no_fault() -> None:
    assert checks.ledger_faults(["a", "b"], read("b", "a")) == []
    assert checks.ledger_faults(["a"], read("a") + read("a", status="error")) == []


def test_missing_double_failed_and_foreign_records_are_noticed() -> None:
    assert checks.ledger_faults(["a"], []) == ["a has no successful record, and no failed one"]
    assert checks.ledger_faults(["a"], read("a", "a")) == ["a has 2 successful records, expected 1"]
    assert checks.ledger_faults(["a"], read("a", status="error")) == [
        "a has no successful record: NotAPhoto: it is empty"
    ]
    assert checks.ledger_faults([], read("b")) == [
        "transcode has a record of b, which was not expected (invocation 0: ok)"
    ]
    assert "whose log names no object" in checks.ledger_faults([], attempts.join([record()], []))[0]


def test_the_bill_is_the_sum_of_the_records() -> None:
    found = read("a", "b")
    bill = {"lines": [{"name": "transcode", "count": 2, "billed_ms": 26, "cost_pico": 2_000}]}
    assert checks.bill_faults(bill, "transcode", found) == []
    assert checks.bill_faults(bill, "transcode", found[:1]) == [
        "the bill says 2 records of transcode, its records 1",
        "the bill says 26 billed ms of transcode, its records 13",
        "the bill says 2,000 pico-units of transcode, its records 1,000",
    ]
    assert len(checks.bill_faults({"lines": []}, "archive", found)) == 3


def test_the_archive_holds_each_output_under_its_content(tmp_path: Path) -> None:
    thumbs, archive = tmp_path / "thumbs", tmp_path / "archive"
    for folder in (thumbs, archive / "2026-05-04/index", archive / "2026-05-04/objects"):
        folder.mkdir(parents=True)
    (thumbs / "a.webp").write_bytes(b"an image")
    name = findings.digest(thumbs / "a.webp")
    (archive / "2026-05-04/objects" / name).write_bytes(b"an image")
    entry = msgspec.json.encode({"key": "a.webp", "object": f"2026-05-04/objects/{name}"})
    (archive / "2026-05-04/index/x.json").write_bytes(entry)
    assert checks.archive_faults(["a.webp"], findings.archived(archive, thumbs)) == []
    assert checks.archive_faults(["b.webp"], findings.archived(archive, thumbs)) == [
        "thumbs/b.webp is in no index of the archive"
    ]
    (archive / "2026-05-04/objects" / name).write_bytes(b"another")
    assert checks.archive_faults(["a.webp"], findings.archived(archive, thumbs)) == [
        "thumbs/a.webp and its copy in the archive differ"
    ]


def test_conservation_and_the_number_of_invocations_are_checked() -> None:
    status = {"drift": 1, "functions": {"transcode": {"accepted": 10}}}
    assert checks.conservation_faults(status, {"transcode": 9}) == [
        "1 invocations are in no place or in two",
        "transcode accepted 10 invocations, expected 9",
    ]


# --- waiting and telling


def places(done: int = 0, dead: int = 0, running: int = 0) -> dict[str, int]:
    return {"done": done, "dead": dead, "running": running, "waiting": 0, "retrying": 0}


@pytest.mark.parametrize(
    ("first", "second", "settled", "line"),
    [
        (places(1, running=2), places(), False, "transcode 1 of 3, archive 0 of 6"),
        (places(3), places(5), False, "transcode 3 of 3, archive 5 of 6"),
        (places(3), places(6, running=1), False, "transcode 3 of 3, archive 6 of 6"),
        (places(3), places(6), True, "transcode 3 of 3, archive 6 of 6"),
        (places(1, dead=2), places(2), True, "transcode 3 of 3 (2 failed), archive 2 of 2"),
    ],
)
def test_all_is_settled_when_every_output_of_every_good_photo_is_archived(
    first: dict[str, int], second: dict[str, int], settled: bool, line: str
) -> None:
    seen = watch.progress({"functions": {"transcode": first, "archive": second}}, 3)
    assert (seen.settled, report.progress_line(seen)) == (settled, line)


def test_what_does_not_come_about_ends_the_demo_and_says_what_it_was() -> None:
    status = {"functions": {"transcode": places(1, running=1), "archive": places(2)}}
    shown: list[watch.Progress] = []
    with pytest.raises(failures.Failed, match="nothing has moved for 0 s: 1 of 2 photos transcoded, 2 of 4 outputs"):
        watch.until_settled(lambda: status, 2, shown.append, stalled_after_s=0)
    assert [seen.transcoded for seen in shown] == [1]
    with pytest.raises(failures.Failed, match="a firing was not seen within 0 s"):
        watch.until(lambda: None, "a firing", 0)


def test_a_line_of_the_table_says_all_about_an_attempt() -> None:
    ok, failed = *read("photos/in/a.jpg"), *read("photos/in/b.jpg", status="error")
    assert tuple(report.cells(report.Row(ok, 1_234, 567))) == (
        "photos/in/a.jpg", "1,234", "567", "warm", "1", "12.35", "13", "80 MB", "0.001",
    )  # fmt: skip
    assert tuple(report.cells(report.Row(failed, 0, None)))[:3] == ("photos/in/b.jpg  ERROR", "0", "-")


def test_what_a_failed_command_said_becomes_one_line() -> None:
    assert platform.reason('talk\n{"error": {"message": "no", "hint": "try"}}\n') == "no (try)"
    assert platform.reason('{"error": {"message": "no"}}') == "no"
    assert platform.reason("faas: no\n") == "faas: no"
    assert platform.reason("") == ""


def test_the_demo_uses_nobody_elses_platform_and_requires_docker_where_it_is_required() -> None:
    environ = {"FAAS_REDIS_URL": "redis://elsewhere", "FAAS_DATA_DIR": "/x", "FAAS_BASE_IMAGE": "i", "PATH": "p"}
    own = platform.environ_for(Path("/tmp/d"), environ)
    assert own == {"FAAS_DATA_DIR": "/tmp/d", "FAAS_BASE_IMAGE": "i", "PATH": "p"}
    assert platform.environ_for(Path("/tmp/d"), {"FAAS_REQUIRE_DOCKER": "1"})["FAAS_ENGINE"] == "docker"


def test_the_contact_sheet_has_a_tile_for_every_photo_with_or_without_a_thumbnail(
    shipped: dict[str, photos.Photo], tmp_path: Path
) -> None:
    rows = {name: report.Row(read(f"photos/in/{name}")[0], 10, 5) for name in ("rocket.jpg", "transparent.png")}
    for name in rows:
        transcoded(shipped[name], tmp_path)
    tiles = [
        results.tile(shipped[name], rows.get(name), tmp_path)
        for name in ("rocket.jpg", "transparent.png", "coffee.png")
    ]
    assert [tile.thumbnail is None for tile in tiles] == [False, False, True]
    sheet_module.draw(tiles, "three", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.format == "PNG"
        assert drawn.width > 2 * 320


def test_a_folder_that_is_not_of_an_earlier_demo_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    found = results.ledger.Ledger(status={}, first=[], second=[], bill={})
    with pytest.raises(failures.Failed, match="is not of an earlier demo"):
        results.save(tmp_path, tmp_path, [], found)
    assert (tmp_path / "mine.txt").exists()


# --- other ways in


@contextlib.contextmanager
def answering(content: bytes) -> Iterator[str]:
    """A server that answers every GET with this."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("path", [os.environ["PATH"], ""], ids=["with curl", "where there is no curl"])
def test_a_thumbnail_is_fetched_and_looked_at(
    shipped: dict[str, photos.Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    rocket = shipped["rocket.jpg"]
    transcoded(rocket, tmp_path)
    monkeypatch.setenv("PATH", path)
    with answering((tmp_path / rocket.outputs[1]).read_bytes()) as gateway:
        assert calls.thumbnail(gateway, rocket, tmp_path / "got", report.Report()) == []
    with answering(b"no image") as gateway:
        faults = calls.thumbnail(gateway, rocket, tmp_path / "got", report.Report())
        assert faults == [f"{gateway}/thumb/rocket.jpg answered 8 bytes that are no image"]
    with pytest.raises(failures.Failed):
        calls.thumbnail(gateway, rocket, tmp_path / "got", report.Report())


@pytest.fixture
def handlers() -> Iterator[None]:
    """Puts back the handlers of the test run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_the_first_signal_interrupts_and_later_ones_do_nothing() -> None:
    with pytest.raises(failures.Interrupted, match="SIGTERM"), interrupts.raised():
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_comes_while_a_process_is_started_waits_until_it_is_known() -> None:
    steps: list[str] = []
    with pytest.raises(failures.Interrupted), interrupts.raised():
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
            steps.append("known")
        steps.append("gone on")
    assert steps == ["known"]
