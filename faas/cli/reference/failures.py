"""Every error that the platform tells, from the tree of `faas.core.errors`."""

from __future__ import annotations

from collections.abc import Iterator

from faas.artifacts import tarball
from faas.cli.reference import markdown
from faas.core import errors
from runners.sandbox import base

_INTRO = (
    "Every error of the gateway and of the control API has one shape:",
    '```json\n{"error": {"code": "not_found", "message": "no function answers /hallo", "hint": "`faas ls` shows the '
    'routes", "invocation_id": "019a3f1c-7d2e-7c40-8a5b-3f0e9d1c2b4a"}}\n```',
    "`code` is for programs, `message` and `hint` for people; further keys name the thing (function, limit, value). "
    "The header `Faas-Error` says whose fault it was: `function` or `platform`. With `--json` the command line prints "
    "the same object on stderr, and every error has an [exit code](cli.md#exit-codes).",
)


_ELSEWHERE: tuple[type[errors.FaasError], ...] = (tarball.BadTar, base.EngineUnavailable, base.SandboxLost)


def page() -> str:
    """The whole page."""
    rows = [
        (f"`{kind.code}`", str(kind.http_status), str(kind.exit_code), markdown.words(kind.__doc__))
        for kind in _by_code().values()
    ]
    rows[0] = (*rows[0][:3], "What nobody foresaw: the platform's own fault, whose stack is in its log.")
    return markdown.page("Errors", [*_INTRO, markdown.table(("code", "HTTP status", "exit code", "meaning"), rows)])


def _by_code() -> dict[str, type[errors.FaasError]]:
    """The kinds that have a code of their own; `_ELSEWHERE` are in their rooms."""
    found: dict[str, type[errors.FaasError]] = {}
    for kind in [*_kinds(errors.FaasError), *_ELSEWHERE]:
        if kind.__module__ == errors.__name__ or kind in _ELSEWHERE:
            found.setdefault(kind.code, kind)
    return found


def _kinds(kind: type[errors.FaasError]) -> Iterator[type[errors.FaasError]]:
    """The error and all that are below it in the tree."""
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
