"""The exit codes of the command line, as one table. A `FaasError` knows its own; the rest is named here."""

from __future__ import annotations

from typing import NamedTuple


class Exit(NamedTuple):
    """One exit code, by the name that scripts and documents use."""

    code: int
    name: str
    meaning: str


TABLE = (
    Exit(0, "ok", "the command did what it says"),
    Exit(1, "internal", "the platform's own fault; one line names the log file that holds the details"),
    Exit(2, "usage", "bad arguments, a bad manifest, a payload that is not JSON or too large"),
    Exit(3, "unauthorized", "the token is missing or wrong"),
    Exit(4, "not_found", "no such function, bucket, object or invocation"),
    Exit(5, "conflict", "the state forbids it (a platform already runs on this data directory)"),
    Exit(6, "throttled", "a bound is reached; try again later"),
    Exit(7, "build_failed", "a deploy failed; the old revisions go on serving"),
    Exit(8, "function_failed", "the function was called and failed"),
    Exit(9, "unavailable", "the platform is not running or cannot be reached"),
    Exit(10, "timed_out", "the function or its caller ran out of time"),
    Exit(130, "interrupted", "Ctrl-C"),
)

OK = 0
INTERNAL = 1
USAGE = 2
INTERRUPTED = 130


def lines() -> str:
    """The table as lines of text, for ``faas --help``."""
    return "\n".join(f"{row.code:>3}  {row.name:<16} {row.meaning}" for row in TABLE)
