"""Which of several words counts for how long something is kept, and which times are refused."""

from __future__ import annotations

import pytest

from faas.core import errors, groups, keeping

DAY_MS = keeping.DAY_MS
LOGS = keeping.KeepKind.LOGS


def terms(*rules: keeping.KeepRule, **settings: int) -> keeping.Terms:
    return keeping.Terms(groups.Retention(**settings), rules)


def test_a_rule_of_a_function_wins_over_one_for_all_and_that_over_the_settings() -> None:
    of_all, own = keeping.KeepRule(LOGS, keeping.ALL, 7 * DAY_MS), keeping.KeepRule(LOGS, "shop", 3 * DAY_MS)
    assert terms(keep_logs_days=5).of_function(LOGS, "shop") == keeping.Term(5 * DAY_MS, "settings")
    assert terms(of_all).of_function(LOGS, "shop") == keeping.Term(7 * DAY_MS, "all")
    assert terms(of_all, own).of_function(LOGS, "shop") == keeping.Term(3 * DAY_MS, "function")
    assert terms(of_all, own).of_function(LOGS, "blog") == keeping.Term(7 * DAY_MS, "all")
    assert terms(own).of_function(keeping.KeepKind.RECORDS, "shop").origin == "settings"


def test_what_is_set_for_a_function_wins_over_its_manifest_and_that_over_what_is_set_for_all() -> None:
    said = keeping.KeepRule(LOGS, "shop", 9 * DAY_MS, origin=keeping.RuleOrigin.MANIFEST)
    of_all, own = keeping.KeepRule(LOGS, keeping.ALL, 7 * DAY_MS), keeping.KeepRule(LOGS, "shop", 3 * DAY_MS)
    assert terms(of_all, said).of_function(LOGS, "shop") == keeping.Term(9 * DAY_MS, "manifest")
    for rules in ((of_all, said, own), (own, said, of_all)):
        assert terms(*rules).of_function(LOGS, "shop") == keeping.Term(3 * DAY_MS, "function")
        assert terms(*rules).own(LOGS) == {"shop": keeping.Term(3 * DAY_MS, "function")}


def test_what_is_kept_for_ever_has_no_end_and_is_the_longest() -> None:
    ever = terms(keeping.KeepRule(LOGS, "shop", 0))
    assert ever.of_function(LOGS, "shop").cut_ms(10 * DAY_MS) is None
    assert ever.longest_ms(LOGS) == 0
    assert terms(keeping.KeepRule(LOGS, "shop", 99 * DAY_MS)).longest_ms(LOGS) == 99 * DAY_MS
    assert terms().of_all(LOGS).cut_ms(20 * DAY_MS) == 6 * DAY_MS


@pytest.mark.parametrize(
    ("kind", "function", "keep_ms"),
    [
        (LOGS, "shop", 1), (LOGS, keeping.ALL, keeping.LEAST_MS - 1), (LOGS, "shop", keeping.MOST_MS + 1),
        (keeping.KeepKind.MINUTES, "shop", DAY_MS), (keeping.KeepKind.HOURS, keeping.ALL, DAY_MS - 1),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused(kind: keeping.KeepKind, function: str, keep_ms: int) -> None:
    with pytest.raises(errors.BadRequest):
        keeping.checked(kind, function, keep_ms)


@pytest.mark.parametrize("kind", keeping.KeepKind)
def test_every_kind_has_a_setting_and_may_be_kept_for_ever(kind: keeping.KeepKind) -> None:
    assert keeping.setting(kind) in groups.Retention.__struct_fields__
    keeping.checked(kind, keeping.ALL, 0)
