from __future__ import annotations

import pytest

from faas import buckets
from faas.core import model
from triggers import backlog, catalog, matching


def _snapshot(*triggers: model.Trigger, name: str = "f") -> catalog.Snapshot:
    config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=triggers)
    return catalog.Snapshot(
        1, (model.Revision(function=name, number=1, artifact="0" * 64, config=config, created_at_ms=0),)
    )


def _rules(*triggers: model.UploadTrigger) -> tuple[matching.Rule, ...]:
    return matching.rules_by_bucket(_snapshot(*triggers))["b"]


@pytest.mark.parametrize(
    ("key", "meets"),
    [
        ("in/a.jpg", True),
        ("in/deep/er/ü b.png", True),
        ("in/a.gif", False),
        ("out/a.jpg", False),
        ("in/.hidden.jpg", False),
        ("in/.d/a.jpg", False),
        (".in/a.jpg", False),
    ],
)
def test_prefix_and_suffix_choose_keys(key: str, meets: bool) -> None:
    rules = _rules(model.UploadTrigger(bucket="b", prefix="in/", suffix=(".jpg", ".png")))
    assert bool(matching.matching(rules, key)) is meets


@pytest.mark.parametrize(
    "name",
    [
        "a~", "a.tmp", "a.PART", "a.crdownload", ".a.swp", "a.swp", "d/a.partial", "x.pdf.filepart", "x.opdownload",
        "a.pdf.download/a.pdf", "~$report.docx", "#a#", "report.docx.sb-1a2b3c4d-XyZ123", "d/Thumbs.db",
        "x.ocTransferId12.part", "~syncthing~a.tmp", ".syncthing.a.tmp", ".a.jpg.Xy12Ab", ".dropbox.cache/a", "a.!sync",
        "a.part/b", "v.mp4.part-Frag12", "v.mp4.ytdl", "v.mkv.xltd", "a.iso.fdmdownload", "a.zip.dtapart",
        "data.csv_.gstmp",
        "a.jpg:Zone.Identifier", "p/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/a.jpg", "$RECYCLE.BIN/S-1-5/a.jpg",
        "System Volume Information/x", "lost+found/#12", "__MACOSX/a.jpg",
    ],
)  # fmt: skip
def test_names_of_unfinished_files_are_ignored(name: str) -> None:
    assert matching.matching(_rules(model.UploadTrigger(bucket="b")), name) == []


@pytest.mark.parametrize(
    "name",
    [
        "a.zone.identifier.jpg",
        "@eadir",
        "recycle/a",
        "lost+found.txt",
        "gstmp",
        "a.xltd.jpg",
        "part-frag",
        "#1 hit.mp3",
    ],
)
def test_names_that_only_look_a_little_like_those_are_not(name: str) -> None:
    assert len(matching.matching(_rules(model.UploadTrigger(bucket="b")), name)) == 1


def test_what_else_is_ignored_stands_in_the_manifest_and_a_default_can_be_taken_back() -> None:
    rules = _rules(model.UploadTrigger(bucket="b", ignore=("*.bak", "drafts/", "/top", "!*.tmp", "!*.part")))
    keys = ("a.bak", "A.BAK", "drafts/a", "d/drafts/a", "drafts", "top", "d/top", "a.tmp", "d/a.part", "a.filepart")
    assert [key for key in keys if matching.matching(rules, key)] == ["drafts", "d/top", "a.tmp", "d/a.part"]


def test_triggers_of_one_function_that_overlap_in_one_prefix_count_once() -> None:
    rules = _rules(
        model.UploadTrigger(bucket="b", suffix=(".jpg",)),
        model.UploadTrigger(bucket="b"),
        model.UploadTrigger(bucket="b", prefix="in/"),
    )
    assert [rule.place for rule in matching.matching(rules, "in/a.jpg")] == [0, 2]


def test_triggers_of_other_kinds_and_buckets_are_left_out() -> None:
    snapshot = _snapshot(model.HttpTrigger(path="/"), model.UploadTrigger(bucket="c"), model.UploadTrigger(bucket="b"))
    assert {name: [rule.place for rule in found] for name, found in matching.rules_by_bucket(snapshot).items()} == {
        "c": [1],
        "b": [2],
    }


@pytest.mark.parametrize("key", ["a b", "ü/\x1f+%", "x"])
def test_a_guards_field_gives_its_key_back(key: str) -> None:
    (rule,) = _rules(model.UploadTrigger(bucket="b", prefix="p\x1fq/"))
    assert matching.key_of(rule.guard_field(key)) == matching.events.form_key(key)


def test_of_two_wishes_for_one_key_the_earlier_moment_and_the_stronger_sign_hold() -> None:
    waiting = backlog.Backlog()
    waiting.add(backlog.Look("k", buckets.Sign.FOUND), 5.0)
    waiting.add(backlog.Look("k", buckets.Sign.CLOSED), 1.0)
    waiting.add(backlog.Look("k", buckets.Sign.FOUND), 9.0)
    assert waiting.next_at() == 1.0
    assert waiting.take(1.0, 10) == [backlog.Look("k", buckets.Sign.CLOSED)]
    assert waiting.take(10.0, 10) == []
    assert len(waiting) == 0


def test_looks_are_taken_in_the_order_of_their_moments_and_no_more_than_asked_for() -> None:
    waiting = backlog.Backlog()
    for moment, key in [(3.0, "c"), (1.0, "a"), (2.0, "b"), (9.0, "z")]:
        waiting.add(backlog.Look(key, buckets.Sign.FOUND), moment)
    assert [look.key for look in waiting.take(5.0, 2)] == ["a", "b"]
    assert [look.key for look in waiting.take(5.0, 2)] == ["c"]
    assert len(waiting) == 1


def test_only_first_looks_are_fresh() -> None:
    waiting = backlog.Backlog()
    waiting.add(backlog.Look("a", buckets.Sign.FOUND), 1.0)
    waiting.add(backlog.Look("a", buckets.Sign.FOUND, tries=3), 1.0)
    waiting.add(backlog.Look("b", buckets.Sign.FOUND), 2.0)
    assert waiting.fresh == 1
    waiting.take(1.0, 10)
    waiting.add(backlog.Look("b", buckets.Sign.CLOSED), 1.0)
    assert waiting.fresh == 1
    waiting.take(1.0, 10)
    assert waiting.fresh == 0
