"""What the torture writes into the documentation."""

from __future__ import annotations

from pathlib import Path

from tests import marked
from tests.torture import checker, page, table

_PAGE = """Prose.

<!-- torture:faults -->
<!-- /torture:faults -->

<!-- torture:figures -->
<!-- /torture:figures -->
"""


def _run(**kinds: int) -> table.Run:
    return table.Run(
        done={kind.replace("_", " "): times for kind, times in kinds.items()},
        recovered_s={kind.replace("_", " "): [1.0, 2.26] for kind in kinds},
        losses=(),
        held={},
        sent=10,
        refused=1_000,
        broken=2,
        hung_up=3,
        deploys=4,
    )


def _seen(*statuses: str) -> checker.Facts:
    attempts = tuple(
        checker.Attempt(
            invocation_id=str(place),
            attempt=1,
            billed_ms=5,
            accepted_at_ms=1,
            ended_at_ms=2,
            duration_ms=1,
            status=status,
        )
        for place, status in enumerate(statuses)
    )
    return checker.Facts(
        accepted=frozenset(),
        answered={},
        uploaded=frozenset(),
        attempts=attempts,
        runs=(),
        totals=(0, 0),
        drifts={},
        unsettled=0,
        every_s=2,
    )


def test_a_run_is_written_with_a_sum_and_the_prose_stays(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(_PAGE)
    page.write(1, 20, _seen("ok", "ok", "error"), _run(kill_node=2, fill_disk=1), (), path)
    written = path.read_text()
    assert written.startswith("Prose.\n")
    assert marked.between(written, "torture:faults").splitlines() == [
        "| | seed 1: times | seed 1: worst recovery, s |",
        "| --- | ---: | ---: |",
        "| fill disk | 1 | 2.3 |",
        "| kill node | 2 | 2.3 |",
        "| all | 3 | 2.3 |",
    ]
    figures = page.parse(marked.between(written, "torture:figures"))
    assert figures["minutes"] == {"seed 1": "20"}
    assert figures["of these `ok`"] == {"seed 1": "2"}
    assert figures["requests refused"] == {"seed 1": "1,000"}
    assert figures["violations"] == {"seed 1": "0"}


def test_another_seed_gets_columns_of_its_own_and_the_same_seed_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(_PAGE)
    for seed, times in ((10, 7), (2, 5), (10, 8)):
        page.write(seed, 20, _seen("ok"), _run(kill_node=times), (), path)
    faults = page.parse(marked.between(path.read_text(), "torture:faults"))
    assert faults["kill node"] == {
        "seed 2: times": "5",
        "seed 2: worst recovery, s": "2.3",
        "seed 10: times": "8",
        "seed 10: worst recovery, s": "2.3",
    }
    assert list(faults["all"]) == list(faults["kill node"])


def test_rows_that_only_one_run_has_keep_their_place() -> None:
    old = {"a": {"seed 1": "1"}, "b": {"seed 1": "2"}, "all": {"seed 1": "3"}}
    new = {"a": {"seed 2": "1"}, "c": {"seed 2": "2"}, "all": {"seed 2": "3"}}
    both = page.merged(old, new)
    assert list(both) == ["a", "b", "c", "all"]
    assert page.render(both).splitlines()[3:5] == ["| b | 2 | - |", "| c | - | 2 |"]


def test_the_documentation_has_places_for_it() -> None:
    for name in ("faults", "figures"):
        assert page.parse(marked.between(page.PATH.read_text(), f"torture:{name}"))
