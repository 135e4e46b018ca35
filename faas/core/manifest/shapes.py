"""The shapes that a value of a manifest can have: each reads a YAML node and describes itself as JSON Schema.

A shape never raises: it tells the `Reader` every fault and returns `INVALID`, so that one look finds all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

import msgspec
import yaml

from faas.core import errors, spelling
from faas.core.manifest import yaml_tree

Path = tuple[str | int, ...]
MAX_FAULTS = 100
INVALID: Any = object()
"""What a shape returns for a value it has complained about."""


class Shape(Protocol):
    """One kind of value."""

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """The value for the model, or `INVALID`."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) that takes what `read` takes, as far as a schema can say it."""


class Reader:
    """Collects the faults of one file, and where each value stood."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[errors.ManifestError] = []
        self.places: dict[Path, yaml_tree.Position] = {}

    def fault(self, place: yaml_tree.Position, at: Path, found: str, expected: str, hint: str = "") -> Any:
        """Note one fault; returns `INVALID` so that a shape can ``return reader.fault(...)``."""
        # Nobody reads more, and a hostile file would have as many as it has bytes.
        if len(self.faults) >= MAX_FAULTS:
            return INVALID
        key = key_path(at)
        message = f"{self.file}:{place.line}:{place.column}: {key}: found {found}, expected {expected}"
        if hint:
            message += f" ({hint})"
        self.faults.append(
            errors.ManifestError(
                message, hint=hint, file=self.file, line=place.line, column=place.column,
                key=key, found=found, expected=expected,
            )
        )  # fmt: skip
        return INVALID

    def wrong(self, node: yaml.Node, at: Path, expected: str, hint: str = "") -> Any:
        """The fault of a node that is not what it should be."""
        # What to write instead is often made of what was written, which may be no text that anybody can see or send.
        return self.fault(yaml_tree.position(node), at, yaml_tree.shown(node), _visible(expected), _visible(hint))

    def read(self, shape: Shape, node: yaml.Node, at: Path) -> Any:
        """Read one node, remembering its place for the checks that come later."""
        self.places[at] = yaml_tree.position(node)
        return shape.read(node, at, self)


def key_path(at: Path) -> str:
    """``functions.thumb.triggers[1].http.path``; ``(the file)`` for the root."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)
    return _visible(text[1:200]) or "(the file)"


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class Text(msgspec.Struct, frozen=True):
    """Text that matches ``pattern`` as a whole and that ``check`` has nothing against (it returns what it expects)."""

    expected: str = "text"
    pattern: str = ""
    max_length: int = 4096
    check: Callable[[str], str] | None = None
    examples: tuple[str, ...] = ()

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """The text as it stands."""
        if yaml_tree.kind(node) != "str":
            scalar = yaml_tree.kind(node) in ("int", "float", "bool")
            return reader.wrong(node, at, self.expected, "put it in quotes" if scalar and not self.pattern else "")
        text = str(node.value)
        if len(text) > self.max_length:
            return reader.fault(
                yaml_tree.position(node), at, f"{len(text)} characters", f"at most {self.max_length} characters"
            )
        if not yaml_tree.sendable(text):
            return reader.wrong(node, at, self.expected)
        # First, as it knows better what is wrong.
        if self.check and (expected := self.check(text)):
            return reader.wrong(node, at, expected)
        if self.pattern and not re.fullmatch(self.pattern, text):
            return reader.wrong(node, at, self.expected)
        return text

    def schema(self) -> dict[str, Any]:
        """A string."""
        schema: dict[str, Any] = {"type": "string", "maxLength": self.max_length}
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        if self.examples:
            schema["examples"] = list(self.examples)
        return schema


class Choice(msgspec.Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]
    translate: Callable[[str], str] | None = None
    """Says what to write in place of another tool's word; "" when it does not know."""

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """The word."""
        if isinstance(node, yaml.ScalarNode) and node.value in self.words:
            return str(node.value)
        word = str(node.value)[:100] if isinstance(node, yaml.ScalarNode) else ""
        hint = (self.translate(word) if self.translate else "") or spelling.did_you_mean(word, self.words)
        return reader.wrong(node, at, f"one of {', '.join(self.words)}", hint)

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return {"enum": list(self.words)}


class Flag(msgspec.Struct, frozen=True):
    """Yes or no."""

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """The truth value."""
        if yaml_tree.kind(node) != "bool":
            return reader.wrong(node, at, "true or false")
        return str(node.value).lower() == "true"

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


class Whole(msgspec.Struct, frozen=True):
    """A whole number within bounds."""

    at_least: int
    at_most: int

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """The number."""
        expected = f"a whole number from {self.at_least} to {self.at_most}"
        # YAML reads 0x10, 010 and 1_000 as numbers, of which not everybody thinks the same.
        if yaml_tree.kind(node) != "int" or not re.fullmatch(r"[+-]?[0-9]{1,18}", str(node.value)):
            return reader.wrong(node, at, expected)
        number = int(node.value)
        return number if self.at_least <= number <= self.at_most else reader.wrong(node, at, expected)

    def schema(self) -> dict[str, Any]:
        """A bounded integer."""
        return {"type": "integer", "minimum": self.at_least, "maximum": self.at_most}


class Amount(msgspec.Struct, frozen=True):
    """A number with a unit, as a whole number of the smallest step (rounded up when ``round_up``), within bounds."""

    units: Mapping[str, Decimal]
    at_least: int
    at_most: int
    expected: str
    round_up: bool = False
    bare: Decimal | None = None
    """What a number without a unit counts; None refuses it."""
    translate: Callable[[str], str] | None = None
    """Says what to write in place of an amount in another tool's words; "" when it does not know."""
    words: Mapping[str, int] = {}
    """Words that stand for an amount, whatever the bounds."""

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """The whole number of steps."""
        kind = yaml_tree.kind(node)
        if kind == "str" and node.value in self.words:
            return self.words[node.value]
        match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)", str(node.value))
        if kind not in ("str", "int", "float") or match is None:
            return reader.wrong(node, at, self.expected, self._hint(node))
        step = self.bare if not match[2] else self.units.get(match[2])
        if step is None:
            return reader.wrong(node, at, self.expected, self._hint(node) if match[2] else "say the unit")
        steps = Decimal(match[1]) * step
        # In decimals: 0.1 of a core is 100 thousandths of it, and as a float a little more.
        whole = steps.to_integral_value(ROUND_CEILING)
        if not self.at_least <= steps <= self.at_most or (whole != steps and not self.round_up):
            return reader.wrong(node, at, self.expected)
        return int(whole)

    def _hint(self, node: yaml.Node) -> str:
        scalar = self.translate is not None and isinstance(node, yaml.ScalarNode) and len(node.value) <= 100
        return self.translate(node.value) if scalar and self.translate is not None else ""

    def schema(self) -> dict[str, Any]:
        """A string with a unit, and a number where one may stand alone."""
        written = rf"[0-9]{{1,12}}(\.[0-9]{{1,9}})? ?({'|'.join(self.units)})"
        text = {
            "type": "string",
            "pattern": f"^({'|'.join((written, *self.words))})$" if self.words else f"^{written}$",
        }
        if self.bare is None:
            return text
        bounds = {"minimum": float(self.at_least / self.bare), "maximum": float(self.at_most / self.bare)}
        return {"anyOf": [{"type": "number", **bounds}, text]}


class Listed(msgspec.Struct, frozen=True):
    """A list of one shape; a single value may stand for a list of one when ``or_one``."""

    of: Shape
    or_one: bool = False
    max_items: int = 100

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """A tuple of the items; `INVALID` stands for a wrong one, so that the others keep their places."""
        if not isinstance(node, yaml.SequenceNode):
            if not self.or_one:
                return reader.wrong(node, at, "a list")
            one = reader.read(self.of, node, at)
            return one if one is INVALID else (one,)
        if len(node.value) > self.max_items:
            return reader.fault(
                yaml_tree.position(node), at, f"{len(node.value)} items", f"at most {self.max_items} items"
            )
        return tuple(reader.read(self.of, item, (*at, index)) for index, item in enumerate(node.value))

    def schema(self) -> dict[str, Any]:
        """An array, or one item."""
        listed = {"type": "array", "items": self.of.schema(), "maxItems": self.max_items}
        return {"anyOf": [listed, self.of.schema()]} if self.or_one else listed


class Json(msgspec.Struct, frozen=True):
    """Any value that JSON can hold."""

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """The value, encoded."""
        try:
            return msgspec.Raw(msgspec.json.encode(yaml_tree.to_json(node)))
        except ValueError as error:
            return reader.fault(yaml_tree.position(node), at, str(error), "a value that JSON can hold")

    def schema(self) -> dict[str, Any]:
        """Anything."""
        return {}


class Mapped(msgspec.Struct, frozen=True):
    """A mapping whose keys are names of the user's own."""

    key: Text
    of: Shape
    at_least: int = 0
    max_items: int = 1000

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """A dict of the entries that are right."""
        if not isinstance(node, yaml.MappingNode):
            return reader.wrong(node, at, "a mapping of names to values")
        entries = keyed(node, at, reader)
        if not self.at_least <= len(entries) <= self.max_items:
            return reader.fault(
                yaml_tree.position(node), at, f"{len(entries)} entries", f"{self.at_least} to {self.max_items} entries"
            )
        found = {}
        for name, (key, value) in entries.items():
            if not re.fullmatch(self.key.pattern, name):
                reader.wrong(key, (*at, name), self.key.expected)
            elif (one := reader.read(self.of, value, (*at, name))) is not INVALID:
                found[name] = one
        return found

    def schema(self) -> dict[str, Any]:
        """An object with patterned names."""
        return {
            "type": "object",
            "patternProperties": {f"^(?:{self.key.pattern})$": self.of.schema()},
            "additionalProperties": False,
            "minProperties": self.at_least,
            "maxProperties": self.max_items,
        }


class Field(msgspec.Struct, frozen=True):
    """One key of a `Fields` mapping."""

    shape: Shape
    description: str
    required: bool = False
    default: Any = None


class Fields(msgspec.Struct, frozen=True):
    """A mapping with known keys. ``exactly_one`` of the named keys must be there. Nothing at all reads as ``{}``.

    A text alone stands for the key ``or_text``, where one is named.
    """

    fields: Mapping[str, Field]
    exactly_one: tuple[str, ...] = ()
    or_text: str = ""

    def read(self, node: yaml.Node, at: Path, reader: Reader) -> Any:
        """A dict of the keys that were given and are right; `INVALID` when one that must be there is not."""
        if self.or_text and yaml_tree.kind(node) == "str":
            one = reader.read(self.fields[self.or_text].shape, node, (*at, self.or_text))
            return one if one is INVALID else {self.or_text: one}
        if not isinstance(node, yaml.MappingNode) and yaml_tree.kind(node) != "null":
            return reader.wrong(node, at, f"a mapping with {', '.join(self.fields)}")
        entries = keyed(node, at, reader) if isinstance(node, yaml.MappingNode) else {}
        found = {}
        for name, (key, value) in entries.items():
            field = self.fields.get(name)
            if field is None:
                # To look for it takes long, and nobody would see it.
                hint = spelling.did_you_mean(name, self.fields) if len(reader.faults) < MAX_FAULTS else ""
                reader.fault(
                    yaml_tree.position(key), (*at, name), "an unknown key", f"one of {', '.join(self.fields)}", hint
                )
            else:
                found[name] = reader.read(field.shape, value, (*at, name))
        self._complete(node, at, reader, set(entries))
        return {name: value for name, value in found.items() if value is not INVALID}

    def _complete(self, node: yaml.Node, at: Path, reader: Reader, given: set[str]) -> None:
        for name in [name for name, field in self.fields.items() if field.required and name not in given]:
            reader.fault(yaml_tree.position(node), (*at, name), "nothing", "this key")
        chosen = [name for name in self.exactly_one if name in given]
        if self.exactly_one and len(chosen) != 1:
            found = " and ".join(chosen) or "none of them"
            reader.fault(yaml_tree.position(node), at, found, f"exactly one of {', '.join(self.exactly_one)}")

    def schema(self) -> dict[str, Any]:
        """An object that knows its keys, or the text that may stand for one."""
        if self.or_text:
            whole = msgspec.structs.replace(self, or_text="").schema()
            return {"anyOf": [whole, self.fields[self.or_text].shape.schema()]}
        properties = {name: _described(field) for name, field in self.fields.items()}
        schema: dict[str, Any] = {
            "type": ["object", "null"], "properties": properties, "additionalProperties": False,
        }  # fmt: skip
        if required := [name for name, field in self.fields.items() if field.required]:
            schema |= {"required": required, "type": "object"}
        if self.exactly_one:
            schema |= {"oneOf": [{"required": [name]} for name in self.exactly_one], "type": "object"}
        return schema


def keyed(node: yaml.MappingNode, at: Path, reader: Reader) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """The entries by the text of their keys; a key that is no text or stands twice is a fault."""
    entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    for key, value in yaml_tree.pairs(node):
        if not isinstance(key, yaml.ScalarNode) or not yaml_tree.sendable(key.value):
            reader.wrong(key, at, "a name as key")
        elif key.value in entries:
            first = yaml_tree.position(entries[key.value][0])
            reader.fault(
                yaml_tree.position(key), (*at, key.value), "this key a second time", f"it once (line {first.line})"
            )
        else:
            entries[str(key.value)] = (key, value)
    return entries


def _described(field: Field) -> dict[str, Any]:
    schema = {**field.shape.schema(), "description": field.description}
    return schema if field.default is None else {**schema, "default": field.default}
