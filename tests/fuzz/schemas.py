"""Values that a JSON Schema allows, as far as the schemas of this platform go: what msgspec writes of its types."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

_DEEPEST = 5
_TEXTS = (
    "",
    "a",
    "hello",
    "photos",
    "a/b.jpg",
    "x" * 200,
    "\u00e9",
    "\U0001f600",
    "0190b5a0-0000-7000-8000-000000000001",
    "%00",
    "'",
    "1",
)
_WHOLE = (0, 1, -1, 2, 7, 1_000, 65_536, 2**31, 2**53, 2**63 - 1)
_CLASS = re.compile(r"\[([^\]]*)\]")


class Values:
    """Values of the schemas of one document, which may refer to one another."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def one(self, chance: random.Random, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """A value that the schema allows."""
        if "$ref" in schema:
            return self.one(chance, self._referred(schema["$ref"]), depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return chance.choice(schema["enum"])
        for many in ("anyOf", "oneOf"):
            if many in schema:
                return self.one(chance, self._shallow(chance, schema[many], depth), depth)
        kind = schema.get("type")
        kind = chance.choice(kind) if isinstance(kind, list) else kind
        return self._of_type(chance, kind, schema, depth)

    def _of_type(self, chance: random.Random, kind: str | None, schema: Mapping[str, Any], depth: int) -> Any:
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object(chance, schema, depth)
        if kind == "array":
            return self._array(chance, schema, depth)
        if kind == "string":
            return _text(chance, schema)
        if kind in ("integer", "number"):
            return _number(chance, schema, kind)
        if kind == "boolean":
            return chance.random() < 0.5
        return None if kind == "null" else chance.choice((None, 1, "a", [], {}, {"a": [1.5]}))

    def _object(self, chance: random.Random, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        known, required = schema.get("properties", {}), schema.get("required", ())
        chosen = [name for name in known if name in required or (depth < _DEEPEST and chance.random() < 0.4)]
        made = {name: self.one(chance, known[name], depth + 1) for name in chosen}
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and depth < _DEEPEST:
            made |= {chance.choice(_TEXTS[1:]): self.one(chance, more, depth + 1) for _ in range(chance.randint(0, 3))}
        return made

    def _array(self, chance: random.Random, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 3)
        size = least if depth >= _DEEPEST else chance.randint(least, max(least, min(most, 3)))
        each = schema.get("prefixItems") or [schema.get("items") or {}]
        each = each if isinstance(each, list) else [each]
        return [self.one(chance, each[min(place, len(each) - 1)], depth + 1) for place in range(size)]

    def _shallow(self, chance: random.Random, choices: Sequence[Mapping[str, Any]], depth: int) -> Mapping[str, Any]:
        """One of several schemas; deep down, one that ends there."""
        if depth < _DEEPEST:
            return chance.choice(choices)
        return next((each for each in choices if each.get("type") in ("null", "string", "integer")), choices[0])

    def _referred(self, ref: str) -> Mapping[str, Any]:
        found: Any = self._document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)


def _text(chance: random.Random, schema: Mapping[str, Any]) -> str:
    if pattern := schema.get("pattern"):
        return _fitting(chance, pattern)
    made = chance.choice((*schema.get("examples", ()), *_TEXTS))
    made = made[: schema.get("maxLength", len(made))]
    return made + "a" * (schema.get("minLength", 0) - len(made))


def _fitting(chance: random.Random, pattern: str) -> str:
    """Some text for a simple pattern, which may not fit one that is not simple."""
    found = _CLASS.search(pattern)
    first = found[1][0] if found and found[1] else "a"
    return chance.choice((first, first * 8, re.sub(r"[\^$()?:|*+\[\]{}\\]", "", pattern)[:20]))


def _number(chance: random.Random, schema: Mapping[str, Any], kind: str) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -(2**31)))
    most = schema.get("maximum", schema.get("exclusiveMaximum", 2**63 - 1))
    fitting = [each for each in (*_WHOLE, least, most) if least <= each <= most] or [least]
    made = chance.choice(fitting)
    return made + 0.5 if kind == "number" and made < most and chance.random() < 0.3 else made
