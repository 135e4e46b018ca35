"""What `make check` prints of the shape of the code."""

from __future__ import annotations

import importlib.util
import types
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

_TEXT = '''"""A docstring
of two lines."""

# Why.
x = 1  # beside code
y = """# no comment
# either"""


def short() -> int:
    """Short."""
    return 1


class Thing:
    # Here too.
    async def long(self) -> None:
        """Long."""
        # Inside.
        first = (
            1,
        )
        del first
'''


@pytest.fixture(scope="module")
def shape() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("shape", _ROOT / "tools" / "shape.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lines_functions_and_comments_are_counted(shape: types.ModuleType) -> None:
    found = shape.measured(_TEXT, "f.py")
    assert found.lines == 23
    assert sorted(found.functions) == [(3, "short (f.py:10)"), (7, "long (f.py:17)")]
    assert found.comments == 3
    assert found.code == 3 + 2 + 1 + 1 + 4


def test_the_summary_names_the_longest_function(shape: types.ModuleType) -> None:
    line = shape.summary([shape.measured(_TEXT, "f.py"), shape.measured("x = 1\n", "g.py")])
    assert "2 files, median 12 lines, longest 23" in line
    assert "longest 7: long (f.py:17)" in line
    assert "own-line comments in 100 lines of code: 25.0" in line


def test_nothing_at_all_has_a_shape_too(shape: types.ModuleType) -> None:
    assert shape.summary([]) == "shape: no file"
    assert shape.summary([shape.measured("", "empty.py")]) == "shape: no file"
    assert "none" in shape.summary([shape.measured("x = 1\n", "g.py")])


def test_the_share_of_comments_is_told_for_each_room(shape: types.ModuleType) -> None:
    one, other = shape.measured(_TEXT, "f.py"), shape.measured("x = 1\n", "g.py")
    rooms = {Path("faas/api/live/f.py"): one, Path("faas/api/g.py"): other, Path("faas/web/h.py"): other}
    assert shape.of_rooms(rooms) == "comments of rooms: faas/api 25.0, faas/web 0.0"


def test_a_median_of_the_real_code_is_found(shape: types.ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    shape.main([str(_ROOT / "faas")])
    assert "median" in capsys.readouterr().out
