"""YAML text as a tree of nodes with line and column, within bounds: no text can cost more than its size.

Nothing is constructed here: a scalar keeps its text and the tag that YAML gives it.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import yaml

from faas.core.values import texts

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 100_000
_MOST_TOLD = 200
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}": name for name in ("null", "bool", "int", "float", "str")}
_UNSENDABLE = re.compile("[\0\ud800-\udfff]")


class Position(msgspec.Struct, frozen=True):
    """Line and column, both counted from 1."""

    line: int = 1
    column: int = 1


class Broken(Exception):
    """The text is no YAML that we take."""

    def __init__(self, position: Position, found: str, expected: str) -> None:
        super().__init__(found)
        self.position = position
        self.found = found
        self.expected = expected


def parse(raw: bytes) -> yaml.Node | None:
    """The root node of the one document in ``raw``, or None when it holds nothing. Raises `Broken`."""
    if len(raw) > MAX_BYTES:
        raise Broken(Position(), f"{len(raw)} bytes", f"a file of at most {MAX_BYTES} bytes")
    text = _decoded(raw)
    try:
        # Nodes and no values: aliases are not unfolded, and nothing of the file is called.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        raise Broken(_place_of(text, error.position), _shown_text(text[error.position]), "printable text") from error
    except yaml.MarkedYAMLError as error:
        raise _broken(error, text) from error
    except RecursionError as error:
        raise Broken(Position(), "lists or mappings inside one another without end", f"{MAX_DEPTH} levels") from error
    except (ValueError, OverflowError) as error:
        raise Broken(Position(), str(error), "YAML") from error
    if root is not None:
        _bounded(root)
    return root


def position(node: yaml.Node) -> Position:
    """Where the node begins."""
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def kind(node: yaml.Node) -> str:
    """``mapping``, ``list``, ``null``, ``bool``, ``int``, ``float``, ``str``, or the tag of what JSON does not know."""
    if isinstance(node, yaml.MappingNode):
        return "mapping"
    if isinstance(node, yaml.SequenceNode):
        return "list"
    if node.tag == "tag:yaml.org,2002:timestamp":
        return "str"
    return _PLAIN_TAGS.get(node.tag, node.tag)


def pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """The mapping's keys and values, with ``<<`` merged in: what stands in the mapping itself wins."""
    own = [(key, value) for key, value in node.value if key.tag != _MERGE]
    seen = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
    for _, value in (pair for pair in node.value if pair[0].tag == _MERGE):
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            for key, inherited in pairs(source) if isinstance(source, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode) and key.value not in seen:
                    seen.add(key.value)
                    own.append((key, inherited))
    return own


def sendable(text: str) -> bool:
    """Whether the text can be an argument, a variable and UTF-8: no NUL, no half of a surrogate pair."""
    return not _UNSENDABLE.search(text)


def shown(node: yaml.Node) -> str:
    """The node in an error message: short, and with its type where that is the trouble."""
    names = {"mapping": "a mapping", "list": "a list", "null": "nothing", "str": ""}
    named = kind(node)
    if names.get(named):
        return names[named]
    text = _shown_text(str(node.value))
    types = {"str": "", "bool": " (a boolean)", "int": " (a number)", "float": " (a number)"}
    return text + types.get(named, f" (tagged {_shown_text(named)})")


def to_json(node: yaml.Node) -> Any:
    """The node as a value that JSON can hold. Raises ValueError saying what it cannot."""
    named = kind(node)
    if isinstance(node, yaml.MappingNode):
        return {_json_key(key): to_json(value) for key, value in pairs(node)}
    if isinstance(node, yaml.SequenceNode):
        return [to_json(item) for item in node.value]
    if named == "str":
        if not sendable(node.value):
            raise ValueError(shown(node))
        return node.value
    if named not in ("null", "bool", "int", "float"):
        raise ValueError(shown(node))
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    try:
        # A loader of nothing, for its reading of single scalars.
        value = yaml.SafeLoader("").construct_object(node)
    except (ValueError, KeyError, IndexError, yaml.YAMLError) as error:
        raise ValueError(shown(node)) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(shown(node))
    # msgspec, and most readers of JSON, know no larger ones.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(shown(node))
    return value


def _json_key(key: yaml.Node) -> str:
    if not isinstance(key, yaml.ScalarNode) or not sendable(key.value):
        raise ValueError(f"{shown(key)} as a key")
    return str(key.value)


def _decoded(raw: bytes) -> str:
    try:
        return texts.decoded(raw)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        raise Broken(_place_of(before, len(before)), f"byte 0x{error.object[error.start]:02x}", "UTF-8 text") from error


def _place_of(text: str, index: int) -> Position:
    before = text[:index]
    return Position(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


_EXPECTED = re.compile(r"expected (.+), but (?:found|got) (.+)")
_BEFORE_VALUE = re.compile(r"(?:^\s*- |: +|[\[,] *)(?=\S)")


def _broken(error: yaml.MarkedYAMLError, text: str) -> Broken:
    mark = error.problem_mark or error.context_mark
    place = Position(mark.line + 1, mark.column + 1) if mark else Position()
    found = error.problem or error.context or "broken YAML"
    # PyYAML quotes the name of an alias whole, and that may be as long as the file.
    found = found if len(found) <= _MOST_TOLD else found[: _MOST_TOLD - 3] + "..."
    expected = "spaces instead of the tab" if "'\\t'" in found else "YAML"
    if told := _EXPECTED.fullmatch(found):
        expected, found = told.groups()
    if "single document" in (error.context or ""):
        found, expected = "a second document", "one document"
    if error.problem_mark and (unquoted := _unquoted(text, error.problem_mark)):
        quoted = f'quotes around it: "{unquoted}"' if len(unquoted) <= _MOST_TOLD else "quotes around it"
        if "undefined alias" in found:
            return Broken(place, found.removeprefix("found "), f"an anchor of that name, or {quoted}")
        return Broken(place, _shown_text(unquoted), quoted)
    return Broken(place, found.removeprefix("found "), expected)


def _unquoted(text: str, mark: yaml.error.Mark) -> str:
    """The value at a place where YAML gave up, when quotes are what it lacks; else nothing.

    What begins like an alias, a tag or another sign of YAML's is meant as text here, and so are braces within a word.
    """
    line = (text.splitlines() or [""])[mark.line : mark.line + 1]
    before = [found.end() for found in _BEFORE_VALUE.finditer(line[0]) if found.end() <= mark.column] if line else []
    if not before:
        return ""
    value = re.split(r",\s|\s#", line[0][before[-1] :])[0].strip()
    while value and value[-1] in "]}" and value.count(value[-1]) > value.count("[{"["]}".index(value[-1])]):
        value = value[:-1].rstrip()
    is_sign = value[:1] in set("*&@`%!") or re.match(r"[?|>-](?!$)", value)
    is_braced = re.fullmatch(r"[^\s{\[\"']+[{\[].*|[{\[][^\s:,]*[}\]][^\s,]+", value)
    return value if (is_sign or is_braced) and '"' not in value and value.isprintable() else ""


def _bounded(root: yaml.Node) -> None:
    """Walk the tree as its readers will, aliases and all, and stop where that would not end soon."""
    left = MAX_NODES
    waiting = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Broken(position(node), f"more than {MAX_DEPTH} levels", "lists and mappings that are less deep")
        # Counted as often as an alias names it: a few anchors could stand for a billion values.
        left -= len(node.value) * 2 if isinstance(node, yaml.CollectionNode) else 0
        if left < 0:
            raise Broken(position(node), "too many values, anchors unfolded", f"at most {MAX_NODES // 2}")
        if isinstance(node, yaml.MappingNode):
            waiting.extend((part, depth + 1) for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend((item, depth + 1) for item in node.value)


def _shown_text(text: str) -> str:
    cut = text if len(text) <= 60 else text[:57] + "..."
    return json.dumps(cut, ensure_ascii=not (cut.isprintable() and sendable(cut)))
