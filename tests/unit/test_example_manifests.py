"""The manifests of the examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.core.manifest import loading

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in EXAMPLES.glob("*/faas.yaml")), ids=lambda path: path.name
)
def test_each_example_has_a_manifest_without_errors_and_a_readme(folder: Path) -> None:
    project = loading.load(folder)
    assert all(Path(function.source).is_dir() for function in project.functions)
    assert (folder / "README.md").is_file()
