"""Which user a sandbox is: what ranges are refused, and that no number is given twice."""

from __future__ import annotations

import concurrent.futures
import os
from pathlib import Path

import pytest

from runners.engines import uids
from runners.sandbox import base

RANGE = uids.Range(2_000_000_000, 2_000_000_099)


@pytest.mark.parametrize(
    "text",
    ["", "5", "-", "0-65535", "10-5", "1-20", "4294967000-4294967295", "a-b", "1000", "٣-٩٩٩", "1-2-3", "9" * 500],
)
def test_what_is_no_range_of_users_is_refused_with_the_words_of_the_setting(text: str) -> None:
    with pytest.raises(base.EngineUnavailable, match="sandbox_uids is") as caught:
        uids.parse(text)
    assert uids.ON_THE_HOST in caught.value.hint
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("held", "is_free"),
    [((1, 1_999_999_999), True), ((2_000_000_099, 2_000_000_099), False), ((2_000_000_100, 3_000_000_000), True),
     ((1, 4_000_000_000), False), ((1_999_999_000, 2_000_000_000), False)],
)  # fmt: skip
def test_a_range_of_which_somebody_has_a_part_is_refused_by_name(held: tuple[int, int], is_free: bool) -> None:
    others = uids.Others((("user bob", uids.Range(*held)),))
    if is_free:
        uids.check(RANGE, others)
        return
    with pytest.raises(base.EngineUnavailable, match="user bob has"):
        uids.check(RANGE, others)


def test_subordinate_users_are_read_and_what_is_none_is_passed_over() -> None:
    lines = ["bob:100000:65536", "", "# x", "eve:1:0", "x:y:z", "a:5", "::", " carl:300000:2 "]
    found = uids.subordinate("/etc/subuid", lines)
    assert found == [
        ("bob in /etc/subuid", uids.Range(100_000, 165_535)),
        ("carl in /etc/subuid", uids.Range(300_000, 300_001)),
    ]


def test_the_range_of_this_machine_holds_nobody_and_one_with_root_does() -> None:
    assert uids.given("") == uids.parse(uids.ON_THE_HOST)
    with pytest.raises(base.EngineUnavailable, match="has"):
        uids.given("1-65535")
    assert uids.given("", remaps_users=True) == uids.parse(uids.REMAPPED)


def test_many_who_ask_at_once_get_each_number_once_until_none_is_left(tmp_path: Path) -> None:
    runners = [uids.Uids(tmp_path / "uids", RANGE) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        given = list(threads.map(lambda n: runners[n % 4].take(f"aaaaaaaaaaaa-{n}"), range(len(RANGE))))
    assert sorted(given) == list(range(RANGE.first, RANGE.last + 1))
    with pytest.raises(base.EngineUnavailable, match="all 100 users"):
        runners[0].take("aaaaaaaaaaaa-1000")
    runners[1].give_back(given[7], "aaaaaaaaaaaa-8")
    with pytest.raises(base.EngineUnavailable, match="taken"):
        runners[0].take("aaaaaaaaaaaa-1001")
    runners[1].give_back(given[7], "aaaaaaaaaaaa-7")
    assert runners[0].take("aaaaaaaaaaaa-1002") == given[7]


def test_a_number_is_free_again_when_nothing_of_its_sandbox_is_left_and_no_other_file_is_touched(
    tmp_path: Path,
) -> None:
    runner = uids.Uids(tmp_path / "uids", RANGE)
    kept, left = runner.take("aaaaaaaaaaaa-1"), runner.take("bbbbbbbbbbbb-1")
    (tmp_path / "uids" / "notes").write_text("somebody's")
    (tmp_path / "uids" / "odd").symlink_to("../../etc")
    runner.give_back_all(lambda sandbox: sandbox.startswith("b"))
    assert sorted(path.name for path in (tmp_path / "uids").iterdir()) == sorted([str(kept), "notes", "odd"])
    assert left not in (kept,)


def test_a_number_comes_again_only_after_all_others(tmp_path: Path) -> None:
    runner = uids.Uids(tmp_path / "uids", RANGE)
    given = []
    for count in range(len(RANGE)):
        given.append(runner.take(f"aaaaaaaaaaaa-{count}"))
        runner.give_back(given[-1], f"aaaaaaaaaaaa-{count}")
    assert len(set(given)) == len(RANGE)


def test_a_user_whose_processes_run_is_not_given(tmp_path: Path) -> None:
    me = os.getuid()
    runner = uids.Uids(tmp_path / "uids", uids.Range(me, me + 1))
    assert runner.take("aaaaaaaaaaaa-1") == me + 1
