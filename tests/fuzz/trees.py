"""Values as JSON, YAML and msgpack know them, changed in their structure: what is well-formed, and still wrong."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**40, 0.5, -0.0, 1e308, "",
    " ", "0",
    "-1", "a", "A" * 300, "x" * 5_000, "..", "../x", "/", "/etc/passwd", "a/b", "a//b", ".hidden", "\0", "a\0b", "\r\n",
    "\x1b[2J", "\u202e", "\u2028", "\ufeff", "\U0001f600", "\ud800", "\u00e9", "e\u0301", "%00", "%2e%2e", "{name}",
    "{a}/{a}",
    "* * * * *", "@daily", "*/0 * * * *", "0 0 30 2 *", "61 * * * *", "10s", "1e9s", "-1s", "99999999999d", "512MB",
    "1.5GiB",
    "null", "true", "1_000", "0x10", "2026-11-29", "http://", "http://[::1", "https://u:p@x/", "file:///etc/passwd",
    "python3",
    "app.handler", [], {}, [[]], {"": ""}, [None], ["a", "a"], {"a": {"b": {"c": []}}}, {"__proto__": 1},
    {"t": "result"},
)  # fmt: skip
_DEEP = 60


def changed(chance: random.Random, value: Any, words: Sequence[Any] = (), steps: int = 3) -> Any:
    """A copy of a value that differs in some places. ``words`` are keys and values of the language it is in."""
    made = copy.deepcopy(value)
    for _ in range(chance.randint(1, steps)):
        made = _step(chance, made, words)
    return made


def _step(chance: random.Random, value: Any, words: Sequence[Any]) -> Any:
    holders = [each for each in _nodes(value) if isinstance(each, dict | list) and each]
    if not holders or chance.randrange(25) == 0:
        return _odd(chance, words)
    holder = chance.choice(holders)
    at = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    way = chance.randrange(8)
    if way == 0:
        del holder[at]
    elif way == 1:
        holder[at] = _deep(chance, holder[at])
    elif way == 2 and isinstance(holder, list):
        holder.extend([holder[at]] * chance.choice((1, 2, 300)))
    elif way == 3 and isinstance(holder, dict):
        holder[_key(chance, words)] = holder.pop(at)
    elif way == 4 and isinstance(holder, dict):
        holder[_key(chance, words)] = _odd(chance, words)
    elif way == 5:
        holder[at] = copy.deepcopy(chance.choice(list(_nodes(value))))
    else:
        holder[at] = _odd(chance, words)
    return value


def _nodes(value: Any, most: int = 400) -> list[Any]:
    found, waiting = [], [value]
    while waiting and len(found) < most:
        node = waiting.pop()
        found.append(node)
        waiting.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
    return found


def _odd(chance: random.Random, words: Sequence[Any]) -> Any:
    return copy.deepcopy(chance.choice(words if words and chance.random() < 0.4 else ODD))


def _key(chance: random.Random, words: Sequence[Any]) -> str:
    found = _odd(chance, words)
    return found if isinstance(found, str) else str(found)[:50]


def _deep(chance: random.Random, value: Any) -> Any:
    wraps = chance.choice((1, 2, _DEEP))
    for _ in range(wraps):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value
