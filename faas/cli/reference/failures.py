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
    "The header `Faas-Error` says who said no: `function` when the function failed, else `platform`, which also "
    "refuses what its caller got wrong. With `--json` the command line prints the same object on stderr, and every "
    "error has an [exit code](cli.md#exit-codes).",
)


_ELSEWHERE: tuple[type[errors.FaasError], ...] = (tarball.BadTar, base.EngineUnavailable, base.SandboxLost)


def page() -> str:
    """The whole page."""
    rows = [
        (f"`{kind.code}`", str(kind.http_status), str(kind.exit_code), _faults(kind.code), _meaning(kind))
        for kind in sorted(_by_code().values(), key=lambda kind: kind.http_status)
    ]
    heads = ("code", "HTTP status", "exit code", "whose fault", "meaning")
    return markdown.page("Errors", [*_INTRO, markdown.table(heads, rows)])


def _by_code() -> dict[str, type[errors.FaasError]]:
    """The uppermost kind of each code."""
    found: dict[str, type[errors.FaasError]] = {}
    for kind in _kinds():
        found.setdefault(kind.code, kind)
    return found


def _meaning(kind: type[errors.FaasError]) -> str:
    if kind is errors.FaasError:
        return "What nobody foresaw: the platform's own fault, whose stack is in its log."
    return markdown.words(kind.__doc__)


def _faults(code: str) -> str:
    """Whose fault errors of a code are; `errors.CallerFault` and its sister have no code of their own."""
    own = {kind.fault for kind in _kinds() if kind.code == code}
    return errors.Fault.PLATFORM.value if code == errors.FaasError.code else ", ".join(sorted(own))


def _kinds() -> Iterator[type[errors.FaasError]]:
    """The errors of the tree and those of `_ELSEWHERE`, but no other that a room keeps to itself."""
    yield from (kind for kind in errors.kinds() if kind.__module__ == errors.__name__)
    yield from _ELSEWHERE
