"""Prints the shape of the code: median file, longest function by name, and own-line comments in 100 lines of code, of
all and of each room.

    python tools/shape.py faas triggers runners

Lines of a file are all of them; a function's are those from its ``def`` to its end; a line of code holds something
besides white space, comments and docstrings.
"""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Function(NamedTuple):
    """A function's length in lines, and where it stands."""

    lines: int
    name: str


class Shape(NamedTuple):
    """What was measured of one file."""

    lines: int
    code: int
    comments: int
    functions: tuple[Function, ...]


def measured(source: str, name: str) -> Shape:
    """The shape of a file's text. Raises SyntaxError for what is no Python."""
    tree = ast.parse(source)
    held = _docstring_lines(tree)
    comments, code = 0, set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments += token.line.lstrip().startswith("#")
        elif token.type not in _NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    return Shape(len(source.splitlines()), len(code - held), comments, tuple(_functions(tree, name)))


_NO_CODE = {
    tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.ENCODING,
}  # fmt: skip


def _docstring_lines(tree: ast.AST) -> set[int]:
    """The lines of strings that are statements of their own."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def _functions(tree: ast.AST, name: str) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function((node.end_lineno or node.lineno) - node.lineno + 1, f"{node.name} ({name}:{node.lineno})")


def summary(shapes: Iterable[Shape]) -> str:
    """The shape of all files in one line."""
    files = [shape for shape in shapes if shape.lines]
    if not files:
        return "shape: no file"
    functions = sorted(function for shape in files for function in shape.functions) or [Function(0, "none")]
    lengths = [function.lines for function in functions]
    return (
        f"shape: {len(files)} files, median {statistics.median(shape.lines for shape in files):.0f} lines,"
        f" longest {max(shape.lines for shape in files)};"
        f" functions: median {statistics.median(lengths):.0f}, p90 {lengths[len(lengths) * 9 // 10]},"
        f" longest {functions[-1].lines}: {functions[-1].name};"
        f" own-line comments in 100 lines of code: {share(files):.1f}"
    )


def share(shapes: Iterable[Shape]) -> float:
    """Own-line comments in 100 lines of code."""
    counted = [(shape.comments, shape.code) for shape in shapes]
    return 100 * sum(comments for comments, _ in counted) / max(sum(code for _, code in counted), 1)


def of_rooms(shapes: Mapping[Path, Shape]) -> str:
    """The share of each room: a folder of the two uppermost levels (``faas/api``, ``runners/sandbox``)."""
    rooms: dict[str, list[Shape]] = {}
    for path, shape in shapes.items():
        rooms.setdefault("/".join(path.parent.parts[:2]), []).append(shape)
    return "comments of rooms: " + ", ".join(f"{name} {share(rooms[name]):.1f}" for name in sorted(rooms))


def main(folders: list[str]) -> None:
    """Print the lines for all Python files below some folders."""
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    shapes = {path: measured(path.read_text(), str(path)) for path in paths}
    print(summary(shapes.values()))
    print(of_rooms(shapes))


if __name__ == "__main__":
    main(sys.argv[1:])
