"""Results of every kind, good and bad."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import uuid

Pair = collections.namedtuple("Pair", "x y")
Number = enum.IntEnum("Number", {"ONE": 1})
Colour = enum.Enum("Colour", {"RED": "red"})


class Word(str, enum.Enum):
    RED = "red"


class Price(decimal.Decimal):
    pass


@dataclasses.dataclass
class Point:
    x: int


class Odd(dict):
    def items(self):
        raise RuntimeError("odd items")


def _circle():
    circle = []
    circle.append(circle)
    return circle


def _deep():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep


RESULTS = {
    "none": lambda: None,
    "float": lambda: [0.1, 1e300, -2.5],
    "text": lambda: 'ü "日本" \U0001f600',
    "order": lambda: {"z": 1, "a": 2, "m": 3},
    "number keys": lambda: {1: "a", None: "b", True: "c"},
    "tuple": lambda: (1, (2,)),
    "named": lambda: collections.OrderedDict(b=1, a=2),
    "nan": lambda: float("nan"),
    "surrogate": lambda: "\ud800",
    "bytes": lambda: b"\x00\xffraw",
    "bytearray": lambda: bytearray(b"raw"),
    "set": lambda: {1, 2},
    "decimal": lambda: {"price": decimal.Decimal("1.5")},
    "datetime": lambda: datetime.datetime(2020, 1, 1),
    "nested bytes": lambda: {"body": b"x"},
    "tuple key": lambda: {(1, 2): "x"},
    "infinities": lambda: [float("inf"), float("-inf")],
    "decimals": lambda: [
        decimal.Decimal("1E+2"),
        decimal.Decimal("-0.10"),
        decimal.Decimal("Infinity"),
        decimal.Decimal("sNaN"),
        {"of a class": Price(3)},
    ],
    "decimals and a surrogate": lambda: ["\ud800", decimal.Decimal("1.5")],
    "bytes as key": lambda: {b"k": "ü".encode()},
    "bytes that are no text": lambda: [b"\xff"],
    "named tuple": lambda: Pair(1, [Pair(2, None)]),
    "enums that are values": lambda: [Number.ONE, Word.RED],
    "enum": lambda: Colour.RED,
    "dataclass": lambda: Point(1),
    "uuid": lambda: {"id": uuid.UUID(int=1)},
    "decimal key": lambda: {decimal.Decimal(1): 1},
    "huge number": lambda: 10**5000,
    "a text that looks marked": lambda: "number 00 1",
    "circle": _circle,
    "deep": _deep,
    "odd": lambda: Odd(a=1),
    "generator": lambda: (x for x in "abc"),
}


kept = {"inner": [1], "thing": {1, 2}}


def keeps(event, context):
    """Return the same object again and again: first JSON cannot hold it, then it can, then it holds itself, then not."""
    if event == "set":
        kept["thing"] = {1, 2}
    elif event == "circle":
        kept["thing"] = kept["inner"] = [kept]
    else:
        kept["thing"] = kept["inner"] = [1]
    return kept


def teaches_json(event, context):
    """Have sets encoded everywhere, as some libraries do for types of theirs."""
    json.JSONEncoder.default = lambda self, value: sorted(value)
    return {"set": {2, 1}}


def handler(event, context):
    if isinstance(event, int):
        return "x" * (event - 2)
    if isinstance(event, dict):
        return b"x" * event["bytes"]
    return RESULTS[event]()
