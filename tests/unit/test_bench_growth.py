"""What of the benchmark of growth can be told without a platform: its cases, and the projects that it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.core import errors
from faas.core.manifest import loading
from tests.bench import growth_part, growth_projects


def test_every_aim_is_of_a_case_that_is_measured() -> None:
    cases = {case for aim in growth_part.AIMS for case in (aim.case, aim.against_case) if case}
    assert cases <= set(growth_part.names())


def test_functions_come_in_deploys_that_are_not_too_large(tmp_path: Path) -> None:
    projects = list(growth_projects.parts(tmp_path, 2_001))
    names = [function.name for project in projects for function in loading.load(project).functions]
    assert [len(loading.load(project).functions) for project in projects] == [1_000, 1_000, 1]
    assert len(set(names)) == 2_001


def test_the_projects_are_what_their_cases_need(tmp_path: Path) -> None:
    shared = loading.load(growth_projects.sharing(tmp_path / "shared", 3, 1_000))
    assert len({function.source for function in shared.functions}) == 1
    held = loading.load(growth_projects.with_objects(tmp_path / "held", 1_001))
    assert len([path for path in Path(held.buckets[0].path or "").rglob("*") if path.is_file()]) == 1_001
    (waits,) = loading.load(growth_projects.never_done(tmp_path / "waits")).functions
    assert (waits.config.max_concurrency, waits.config.timeout_ms) == (1, 900_000)


def test_the_last_route_is_found_and_a_stranger_is_not() -> None:
    table = growth_projects.routes(30)
    assert table.find("GET", f"/group{29 % 7}/part{29 % 11}/29/x").route.revision.function == "f-29"
    with pytest.raises(errors.NotFound):
        table.find("GET", "/group0/part0/nobody/x")
