"""Waiting for what comes about, instead of sleeping for as long as it might take."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tests import patience

T = TypeVar("T")
_STEP_S = 0.01


async def eventually(condition: Callable[[], Any], within: float = 5) -> Any:
    """Call ``condition`` until it returns a true value, and return that.

    It may be sync or async. An AssertionError means "not yet" too, and is raised when the time is up; a condition
    that only asserts ends with ``return True``.
    """
    until = time.monotonic() + within * patience.FACTOR
    while True:
        met, value, failure = await _tried(condition)
        if met:
            return value
        if time.monotonic() > until:
            raise failure or AssertionError(f"not within {within} s; last value: {value!r}")
        await asyncio.sleep(_STEP_S)


def eventually_sync(condition: Callable[[], T], within: float = 5) -> T:
    """The same for tests without an event loop."""
    until = time.monotonic() + within * patience.FACTOR
    while True:
        failure, value = None, None
        try:
            value = condition()
        except AssertionError as error:
            failure = error
        if failure is None and value:
            return value
        if time.monotonic() > until:
            raise failure or AssertionError(f"not within {within} s; last value: {value!r}")
        time.sleep(_STEP_S)


async def _tried(condition: Callable[[], Any]) -> tuple[bool, Any, AssertionError | None]:
    try:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
    except AssertionError as error:
        return False, None, error
    return bool(value), value, None
