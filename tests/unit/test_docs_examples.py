"""What the pages tell people to type exists: commands, options, chores, settings, manifests, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from faas.cli import main
from faas.core import settings
from faas.core.manifest import shapes, table, yaml_tree

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
NOT_SETTINGS = {"FAAS_REQUIRE_DOCKER"}
"""Variables of set-up, which runs before there are settings."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SEPARATORS = {"&&", "||", "|", ";", "&", ">", ">>", "<", "(", ")"}
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


class Block(NamedTuple):
    """One fenced block: where it stands, its language, its text."""

    page: str
    language: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    for page in PAGES:
        for language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
            if language in languages:
                yield Block(str(page.relative_to(ROOT)), language, text)


def commands(name: str) -> list[tuple[str, tuple[str, ...]]]:
    """Page and arguments of every call of a command in the blocks that are shell, with repetitions left out."""
    found = {}
    for block in blocks("sh", "console"):
        for words in calls(block.text.replace("\\\n", " ")):
            if words[0] == name:
                found[block.page, tuple(words[1:])] = None
    return list(found)


def calls(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell text, without assignments, redirections and comments."""
    for line in logical_lines(text):
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="&|;<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _SEPARATORS:
                if words or not _ASSIGNMENT.fullmatch(word):
                    words.append(word)
                continue
            if words:
                yield words
            words = []


def logical_lines(text: str) -> Iterator[str]:
    """Lines, those joined that a quoted text spans. Lines of output that is no shell are passed over."""
    open_line = ""
    for line in text.splitlines():
        open_line += line
        try:
            shlex.split(open_line, comments=True)
        except ValueError:
            open_line += "\n"
            continue
        yield open_line
        open_line = ""


@pytest.mark.parametrize(("page", "arguments"), commands("faas"))
def test_a_command_that_a_page_shows_exists_with_its_options(page: str, arguments: tuple[str, ...]) -> None:
    context = click.Context(main.group, info_name="faas")
    _, rest, _ = main.group.make_parser(context).parse_args(list(arguments))
    command = main.group.get_command(context, rest[0])
    assert command is not None, f"{page}: faas {rest[0]}"
    if "..." not in rest:
        command.make_context(rest[0], rest[1:], parent=context)


@pytest.mark.parametrize(("page", "arguments"), commands("make"))
def test_a_chore_that_a_page_shows_is_in_the_makefile(page: str, arguments: tuple[str, ...]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in arguments if "=" not in word} <= targets, page


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    named = set(re.findall(r"FAAS_[A-Z_]+[A-Z]", page.read_text(encoding="utf-8")))
    known = {f"FAAS_{name.upper()}" for name in settings.GROUP_OF}
    assert named - known - NOT_SETTINGS == set()


@pytest.mark.parametrize("block", [block for block in blocks("yaml") if "functions:" in block.text])
def test_a_manifest_that_a_page_shows_has_no_fault(block: Block) -> None:
    reader = shapes.Reader(block.page)
    root = yaml_tree.parse(block.text.encode())
    assert root is not None
    reader.read(table.manifest_shape(), root, ())
    assert [fault.message for fault in reader.faults] == []


@pytest.mark.parametrize("block", list(blocks("python")))
def test_python_that_a_page_shows_is_python(block: Block) -> None:
    compile(block.text, block.page, "exec")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not leads_somewhere(page, link)]
    assert broken == []


def links(page: Path) -> Iterator[str]:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual hosts make them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
