"""Which upload triggers are new, and about what: decisions without Redis."""

from __future__ import annotations

import pytest

from faas import buckets
from faas.core import model
from triggers import matching, newcomers

BEGUN = {"": "1"}


def rule(number: int = 1, name: str = "f", **trigger: object) -> matching.Rule:
    made = model.UploadTrigger(bucket="b", **trigger)  # type: ignore[arg-type]
    config = model.FunctionConfig(runtime="python3", handler="a.b", triggers=(made,))
    revision = model.Revision(function=name, number=number, artifact="a", config=config, created_at_ms=number * 1_000)
    return matching.Rule(revision, 0, made)


def met(of: matching.Rule, held: dict[str, str]) -> newcomers.Met:
    return newcomers.now_met([of], held)[newcomers.field(of)]


def held(*found: newcomers.Met) -> dict[str, str]:
    return {**BEGUN, **{newcomers.field(rule(prefix=one.parts[0].prefix)): newcomers._encode(one) for one in found}}


def test_a_scheduler_that_has_none_of_this_takes_what_it_meets_as_known() -> None:
    assert met(rule(), {}).news is None


def test_a_trigger_is_new_once_unless_it_asks_for_what_is_there() -> None:
    new = met(rule(), BEGUN)
    assert new.news == matching.News(1_000)
    assert met(rule(2), held(new)).news == matching.News(1_000), "it was not settled yet"
    assert met(rule(3), held(newcomers.Met((rule().trigger,)))).news is None
    assert met(rule(existing=model.Existing.RUN), BEGUN).news is None


def test_with_another_prefix_it_is_another_one_and_what_is_gone_is_forgotten() -> None:
    other = rule(2, prefix="in/")
    found = newcomers.now_met([other], held(newcomers.Met((rule().trigger,))))
    assert list(found) == [newcomers.field(other)]
    assert found[newcomers.field(other)].news == matching.News(2_000)


def test_one_that_becomes_wider_is_new_for_what_it_did_not_want_before() -> None:
    first = rule(suffix=(".txt",)).trigger
    news = met(rule(2, suffix=(".txt", ".png")), held(newcomers.Met((first,)))).news
    assert news == matching.News(2_000, (first,))
    again = met(rule(3, suffix=()), held(newcomers.Met((rule(suffix=(".txt", ".png")).trigger,), news)))
    assert again.news == matching.News(3_000, (first,)), "what was settled last still holds"


@pytest.mark.parametrize(
    ("key", "modified_ms", "changed_ms", "skipped"),
    [
        ("old.png", 1, 1, True), ("old.png", 1_000, 0, True), ("new.png", 1_001, 0, False),
        ("moved-in.png", 1, 5_000, False), ("wanted.txt", 1, 1, False),
    ],
)  # fmt: skip
def test_what_was_there_before_is_told_by_when_it_appeared(
    key: str, modified_ms: int, changed_ms: int, skipped: bool
) -> None:
    before = model.UploadTrigger(bucket="b", suffix=(".txt",))
    of = matching.Rule(rule().revision, 0, rule().trigger, matching.News(1_000, (before,)))
    found = buckets.Object(key, 1, modified_ms * 1_000_000, "v", changed_ms * 1_000_000)
    assert of.was_there_before(found) is skipped


def test_one_of_several_with_the_same_prefix_is_new_for_what_the_others_did_not_want() -> None:
    parts = (rule(suffix=(".txt",)), rule(2, suffix=(".png",)))
    (found,) = newcomers.now_met(parts, held(newcomers.Met((parts[0].trigger,)))).values()
    assert found.news == matching.News(1_000, (parts[0].trigger,))
    (again,) = newcomers.now_met(parts[::-1], held(newcomers.Met((parts[0].trigger, parts[1].trigger)))).values()
    assert again.news is None, "their order means nothing"


@pytest.mark.parametrize("broken", ["", "1", "{}", '{"trigger": {"kind": "upload"}}'])
def test_what_redis_holds_and_nobody_can_read_is_as_good_as_nothing(broken: str) -> None:
    assert met(rule(), {**BEGUN, newcomers.field(rule()): broken}).news == matching.News(1_000)


def test_a_version_that_came_back_is_known_as_that_version() -> None:
    found = buckets.Object("k", 1, 5, "5-1-9", 77)
    assert matching.guard_value(found, was_away=False) == "5-1-9"
    value = matching.guard_value(found, was_away=True)
    assert value != "5-1-9"
    assert rule().has_met(value, "5-1-9")
    assert not rule().has_met(value, "5-1-8")
    assert not rule().has_met(None, "5-1-9")


def test_what_was_skipped_runs_once_its_trigger_asks_for_it() -> None:
    value = matching.skipped_value(buckets.Object("k", 1, 5, "5-1-9"))
    assert rule().has_met(value, "5-1-9")
    assert not rule(existing=model.Existing.RUN).has_met(value, "5-1-9")
    assert rule(existing=model.Existing.RUN).has_met("5-1-9", "5-1-9")


def test_guards_of_what_lay_in_a_folder_are_found_by_its_name() -> None:
    of = rule()
    fields = [of.guard_field(key) for key in ("album/1 a", "album/deep/2", "albums/3", "other")]
    assert matching.below({"album/"}, fields) == fields[:2]
    assert matching.below(set(), fields) == []
