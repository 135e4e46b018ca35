"""The reference pages say what the code says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from faas.cli.reference import manifest as manifest_page
from faas.cli.reference import pages
from faas.core.manifest import loading

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.mark.parametrize("name", pages.MADE)
def test_a_page_that_is_made_from_the_code_is_current(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == pages.MADE[name](), "stale: run `make docs`"


def test_the_manifest_that_the_page_shows_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / "transcode").mkdir()
    (tmp_path / "transcode" / "requirements.txt").touch()
    loading.parse(manifest_page.EXAMPLE.encode(), tmp_path / "faas.yaml")


def test_every_metric_of_the_code_is_on_its_page() -> None:
    page = (REFERENCE / "metrics.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(faas_\w+)`", page))
    missing = {name for name in metrics() if not {name, f"{name}_total"} & named}
    assert not missing


def test_every_code_of_an_error_is_on_its_page() -> None:
    page = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    codes = {code for text in sources() for code in re.findall(r'^    code = "(\w+)"', text, re.MULTILINE)}
    assert codes >= {"not_found", "bad_source"}
    assert {code for code in codes if f"| `{code}` |" not in page} == set()


def metrics() -> Iterator[str]:
    """The names of metrics: whatever in the control API's code is a text that looks like one."""
    for path in (ROOT / "faas" / "api").glob("metric*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"faas_[a-z_]+[a-z]", str(node.value)):
                yield node.value


def sources() -> Iterator[str]:
    for package in ("faas", "triggers", "runners"):
        for path in (ROOT / package).rglob("*.py"):
            yield path.read_text(encoding="utf-8")
