"""Which of the runtimes that nodes have a function is built for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from faas.core import errors
from faas.runtimes import installed, port, table


class Available(msgspec.Struct, frozen=True):
    """One version of a language that sandboxes have, and what builds for it."""

    runtime: port.Runtime
    has: installed.Installed

    @property
    def name(self) -> str:
        """The version as a manifest writes it: ``python3.11``."""
        return self.has.name

    def __str__(self) -> str:
        return str(self.has)


def known(found: Sequence[installed.Installed], runtimes: table.Runtimes) -> list[Available]:
    """The versions that nodes have and that can be built for here."""
    return [Available(runtime, has) for has in found if (runtime := runtimes.of(has.name)) is not None]


def choose(asked: str, available: Sequence[Available]) -> Available:
    """The newest that ``runtime: asked`` allows: a language (python3) takes any version, a version only that one.

    Raises `errors.BuildFailed` naming what there is, and `errors.Unavailable` while no node has said what it has.
    """
    if not available:
        raise errors.Unavailable(
            "no node has said which runtimes it has", hint="is a node running? see `faas status`", retry_after_s=5
        )
    fitting = [one for one in available if asked in (one.name, one.runtime.name)]
    if not fitting:
        names = ", ".join(sorted({one.name for one in available}, key=_version))
        any_version = ", ".join(sorted({one.runtime.name for one in available}))
        raise errors.BuildFailed(
            f"runtime {asked} is not available; the sandboxes have {names}",
            hint=f"without its version a runtime takes the newest: {any_version}",
            available=names,
        )
    return max(fitting, key=lambda one: _version(one.name))


def _version(name: str) -> tuple[str, tuple[int, ...]]:
    """Puts names of one language in the order of their versions."""
    # By numbers: as texts 3.9 would come behind 3.11.
    return re.sub(r"[\d.]+", "", name), tuple(int(number) for number in re.findall(r"\d+", name))
