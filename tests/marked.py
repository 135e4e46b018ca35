"""Parts of a hand-written page that a program writes: from ``<!-- name -->`` to ``<!-- /name -->``."""

from __future__ import annotations

import re


def between(page: str, name: str) -> str:
    """What stands there, without the blank lines around it. Raises `ValueError` when the page has no such part."""
    return _part(page, name)[2].strip("\n")


def replaced(page: str, name: str, text: str) -> str:
    """The page with ``text`` there instead. Raises `ValueError` when the page has no such part."""
    found = _part(page, name)
    return f"{page[: found.start(2)]}\n{text.strip()}\n{page[found.end(2) :]}"


def _part(page: str, name: str) -> re.Match[str]:
    # The line ends belong to the part, so that what is written again is the same again.
    found = re.search(rf"(<!-- {re.escape(name)} -->)(\n.*?)(?=<!-- /{re.escape(name)} -->)", page, re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no part {name}: <!-- {name} --> and <!-- /{name} --> on lines of their own")
    return found


def table(headings: list[str], rows: list[list[str]], numbers_from: int) -> str:
    """A table in Markdown; columns from ``numbers_from`` on are set to the right."""
    rules = ["---" if place < numbers_from else "---:" for place in range(len(headings))]
    return "\n".join(_row(cells) for cells in (headings, rules, *rows))


def _row(cells: list[str]) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)
