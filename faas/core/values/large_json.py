"""Large JSON values, looked through by SQLite: unlike parsers made for Python it lets go of the interpreter meanwhile.

To look through 6 MB of short numbers keeps all threads of a process for 12 to 60 ms, whichever of them does it, and a
result was looked through up to four times. So what is over `LARGE_BYTES` is looked through here, in a thread (`apart`),
and what is needed of it is cut out as it was written; the rest is never made into anything.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, ParamSpec, TypeVar

from faas.core.values import json_text

P = ParamSpec("P")
T = TypeVar("T")

LARGE_BYTES = 65_536
"""What is no larger is looked through at once: it takes two milliseconds at most."""

# Each may need some times the size of the value while it is looked through.
_THREADS = min(max((os.cpu_count() or 1) // 2, 1), 4)
_APART = futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="large-json")


_HALVES = (b"\\ud", b"\\uD")
_NOT_THERE = b",null]"


class Malformed(ValueError):
    """The text is no JSON."""


async def apart(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of work with large values, done in a thread of its own; few at a time, the others wait."""
    return await asyncio.get_running_loop().run_in_executor(_APART, lambda: work(*args, **kwargs))


def is_json(body: bytes) -> bool:
    """See `json_text.is_json`."""
    # SQLite takes half a character, as only Python does. What it refuses is rare, and gets the look that keeps others.
    return (_passes(body) and not any(sign in body for sign in _HALVES)) or json_text.is_json(body)


def is_result(body: bytes) -> bool:
    """See `json_text.is_result`."""
    return _passes(body) or (json_text.may_be_pythons(body) and _passes(json_text.plain(body)))


def is_pythons(body: bytes) -> bool:
    """See `json_text.is_pythons`."""
    return json_text.may_be_pythons(body) and not is_json(body)


def is_too_deep(result: bytes) -> bool:
    """See `json_text.is_too_deep`; of what is no result."""
    return _is_valid(json_text.plain(result)) or json_text.is_too_deep(result)


def sizes(body: bytes, keys: Sequence[str]) -> dict[str, int]:
    """How many characters the values of some keys of an object have, of those that are there. Raises `Malformed`."""
    wanted = ", ".join("?" for _ in keys)
    query = f"SELECT key, max(length(value)) FROM json_each(CAST(? AS TEXT)) WHERE key IN ({wanted}) GROUP BY key"  # noqa: S608 - no value is in it
    return {bytes(key).decode(): size or 0 for key, size in _asked(query, body, *keys)}


def cut_out(body: bytes, keys: Sequence[str], large: str) -> tuple[bytes, bytes]:
    """A JSON array of the values of some keys of an object, and the value of one that may be large, each compact.

    It is null for those that are not there. Raises `Malformed`.
    """
    # A value alone would come as a text without its quotes, so that each array has an item more that is never there.
    paths = ", ".join(f"?{number}" for number in range(3, 3 + len(keys)))
    text = "CAST(?1 AS TEXT)"
    query = f"SELECT json_extract({text}, {paths}, '$[0]'), json_extract({text}, ?2, '$[0]')"
    ((some, one),) = _asked(query, body, *(f'$."{key}"' for key in (large, *keys)))
    return some[: -len(_NOT_THERE)] + b"]", one[1 : -len(_NOT_THERE)]


def _passes(body: bytes) -> bool:
    """Whether a body is one JSON value in UTF-8 that is nested no deeper than all can follow."""
    if not _is_valid(body):
        return False
    if body.count(b"[") + body.count(b"{") <= json_text.MOST_NESTED:
        return True
    more = _most_nested() - json_text.MOST_NESTED
    return _is_valid(b"".join((b"[" * more, body, b"]" * more)))


def _is_valid(body: bytes) -> bool:
    # SQLite ends a text at a NUL, and takes what is no UTF-8 as it is.
    if b"\0" in body or not _is_utf8(body):
        return False
    return _asked("SELECT json_valid(CAST(? AS TEXT))", body) == [(1,)]


@functools.cache
def _most_nested() -> int:
    """How deep SQLite follows; its versions differ."""
    return (
        bisect.bisect_left(range(10_000), True, key=lambda depth: not _is_valid(b"[" * depth + b"1" + b"]" * depth)) - 1
    )


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _asked(query: str, *values: bytes | str) -> list[tuple[Any, ...]]:
    """The rows that answer a query of a database that holds nothing."""
    # One of its own for each question: a connection belongs to its thread, and to make one takes some ten microseconds.
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.text_factory = bytes
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise Malformed(str(error)) from error
