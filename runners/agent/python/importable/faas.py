"""What a handler can tell the platform by raising it. Elsewhere (in tests, on Lambda) these are plain exceptions."""

from __future__ import annotations


class DoNotRetry(Exception):
    """This event will never succeed: no further attempt."""


class RetryAfter(Exception):
    """Try again, but not before so many seconds have passed. Counts as an attempt."""

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"try again in {seconds:g} s")
        self.seconds = seconds
