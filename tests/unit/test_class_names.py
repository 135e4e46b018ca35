"""No two things have one name: a reader who searches for a class finds what he means."""

from __future__ import annotations

import ast
import collections
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = {
    "Bucket": "as it is declared, and as it is opened",
    "Build": "a port and its adapter",
    "Channel": "a port and what it is a part of",
    "Closes": "a port of either of two rooms that may not import one another",
    "Connection": "to Redis, and of a client of the gateway",
    "Exited": "what is found of a sandbox, and the frame that tells it",
    "Functions": "the store's, and the part of it that a room reads",
    "LoadReport": "a node's, and what builds make of it",
    "Output": "of a sandbox, and the frame that brings it",
    "Packages": "a port and its adapter",
    "Place": "of an invocation, as the document of the API calls it, and of a sandbox",
    "Rest": "a port and its adapter",
    "Route": "of the gateway, and of the control API",
    "State": "each of the table of states in its own module",
}
"""Names that more than one class has, and why that is right."""


def test_no_two_classes_have_one_name_but_for_those_that_are_listed() -> None:
    found: dict[str, list[str]] = collections.defaultdict(list)
    for path in (path for top in ("faas", "triggers", "runners") for path in sorted((ROOT / top).rglob("*.py"))):
        # The control API's schemas have the names of what they show; the agent is a program of its own.
        if "schemas" in path.parts or "agent" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(ROOT).as_posix())
    twice = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in SHARED} == {}
    assert not SHARED.keys() - twice.keys(), "a name that is shared no more"
