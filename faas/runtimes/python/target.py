"""What packages and bytecode are made for."""

from __future__ import annotations

import msgspec

from faas.core import errors
from faas.runtimes import installed

PREFIX = "python"
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_LIBCS = {"glibc": "gnu", "musl": "musl"}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One Python that sandboxes have: ``python`` is "3.11", ``libc`` is glibc or musl. Layers are found by it."""

    python: str
    machine: str = "x86_64"
    libc: str = "glibc"

    @property
    def platform(self) -> str:
        """The platform whose wheels it takes, in uv's words. Raises `errors.BuildFailed` for one without wheels."""
        machine, libc = _MACHINES.get(self.machine.lower()), _LIBCS.get(self.libc)
        if machine is None or libc is None:
            raise errors.BuildFailed(f"there are no wheels for {self}", hint="remove `requirements`")
        return f"{machine}-unknown-linux-{libc}"

    def __str__(self) -> str:
        return f"Python {self.python} on Linux {self.machine} ({self.libc})"


def of(has: installed.Installed) -> Target:
    """The Python of sandboxes that have ``python3.11``."""
    return Target(python=version(has.name), machine=has.machine, libc=has.libc)


def version(name: str) -> str:
    """ "3.11" for ``python3.11``."""
    return name.removeprefix(PREFIX)
