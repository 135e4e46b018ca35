"""Each edge under some hundreds of inputs, always the same, and under those that once did what none may."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import apart, catalog, edge, running

INPUTS = 250
"""Enough to see that an edge holds what it held; `make fuzz` looks for what it does not hold."""

EDGES = [pytest.param(kind, id=name) for name, kind in catalog.EDGES.items() if not kind.owns_process]
APART = [name for name, kind in catalog.EDGES.items() if kind.owns_process]


def told(findings: list[running.Finding]) -> str:
    return "\n".join(f"{each.where}: {each.given[:300]!r}\n{each.what}" for each in findings)


@pytest.fixture
def around(tmp_path: Path, redis_url: str, prefix: str) -> edge.Around:
    home = tmp_path / "home"
    home.mkdir()
    return edge.Around(home, redis_url, prefix)


@pytest.mark.parametrize("kind", EDGES)
async def test_no_input_at_an_edge_does_what_none_may(kind: type[edge.Edge], around: edge.Around) -> None:
    report = await running.run(kind(), around, 1, running.Until(inputs=INPUTS))
    assert report.inputs >= INPUTS
    assert report.ways > 1, "every input was answered alike"
    assert not report.findings, told(report.findings)


@pytest.mark.parametrize("name", APART)
def test_no_input_at_an_edge_that_owns_its_process_does_what_none_may(name: str) -> None:
    report = apart.run(name, 1, running.Until(inputs=INPUTS), 60)
    assert not report.findings, told(report.findings)
    assert report.inputs >= INPUTS


@pytest.mark.parametrize("kind", [each for each in EDGES if edge.corpus(str(each.id))])
async def test_what_once_did_harm_at_an_edge_does_none_now(kind: type[edge.Edge], around: edge.Around) -> None:
    found = await running.replay(kind(), around, edge.corpus(kind.name))
    assert not found, told(found)


def test_what_is_kept_is_named_and_belongs_to_an_edge() -> None:
    assert {folder.name for folder in edge.CORPUS.iterdir()} <= set(catalog.EDGES)
    assert all(
        "-" in name and len(given) < 100_000 for each in catalog.EDGES for name, given in edge.corpus(each).items()
    )
