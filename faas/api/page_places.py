"""Where a page of records ends, as text: what the request for the next page sends back."""

from __future__ import annotations

from faas.api import answers
from faas.core import errors

Place = tuple[int, str, int]
"""When a record ended, its invocation and its attempt."""


def text(place: Place) -> str:
    """The cursor of a page that ends there."""
    ended_at_ms, invocation_id, attempt = place
    return f"{ended_at_ms}.{attempt}.{invocation_id}"


def parsed(cursor: str) -> Place:
    """Where the page before ended. Raises `errors.BadRequest` for what is no cursor."""
    ended_at_ms, _, rest = cursor.partition(".")
    attempt, _, invocation_id = rest.partition(".")
    try:
        at_ms, number = int(ended_at_ms), int(attempt)
        if not (0 <= at_ms <= answers.LATEST_MS and 0 <= number <= answers.LATEST_MS):
            raise ValueError("out of bounds")
    except ValueError as error:
        raise errors.BadRequest(f"query: before: {cursor!r} is no `next` of a page") from error
    return at_ms, invocation_id, number
