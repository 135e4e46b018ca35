"""What a platform of an older version answers to a command that it does not know yet."""

from __future__ import annotations

import re

from faas.core import errors

_SIGNS = (
    (errors.NotFound, re.compile(r"no such path: ")),
    (errors.MethodNotAllowed, re.compile(r"\S+ does not take [A-Z]+$")),
    (errors.BadRequest, re.compile(r"(query|the body): \S+ is not known$")),
)


def in_place_of(error: errors.FaasError, target: str, api: str) -> errors.FaasError:
    """`errors.Conflict` for what only a platform of another version says to this command; else ``error`` itself.

    No version is compared: a platform that runs since before the last update of a checkout says the same number.
    """
    path = target.partition("?")[0]
    # An empty name makes a path that no version has.
    if "" in path.split("/")[1:] or not any(
        isinstance(error, kind) and pattern.match(error.message) for kind, pattern in _SIGNS
    ):
        return error
    return errors.Conflict(
        f"the platform at {api} is older than this `faas`: {error.message}",
        hint="end it with `faas down` and start it with `faas up --detach`; nothing that it holds is lost",
    )
