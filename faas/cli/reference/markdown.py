"""Markdown from rows and paragraphs."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence

_NOTE = "<!-- Made from the code by `make docs`; do not edit. -->"


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page; empty parts are left out."""
    return "\n\n".join(part for part in (f"# {title}", _NOTE, *parts) if part) + "\n"


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, or nothing when it has no rows."""
    if not rows:
        return ""
    lines = [names, ["---"] * len(names), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def prose(text: str | None) -> Iterator[str]:
    """The paragraphs of a docstring; those that click must not wrap (they begin with a backspace) are examples."""
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        is_example = paragraph.startswith("\b\n")
        yield f"```sh\n{paragraph[2:].rstrip()}\n```" if is_example else " ".join(paragraph.split())


def words(text: str | None) -> str:
    """A docstring's first paragraph in one line, with Markdown's code marks instead of reStructuredText's."""
    first = inspect.cleandoc(text or "").partition("\n\n")[0]
    return " ".join(first.split()).replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
