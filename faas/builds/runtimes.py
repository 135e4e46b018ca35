"""Which Pythons the nodes' images have: what a bundle is built for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from faas.core import errors

_RUNTIME = re.compile(r"python3(\.\d+)?")
_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
_LIBCS = {"glibc": "gnu", "musl": "musl"}


class RuntimeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One Python that sandboxes have: ``python`` is "3.11", ``libc`` is glibc or musl."""

    python: str
    machine: str = "x86_64"
    libc: str = "glibc"

    @property
    def name(self) -> str:
        """As a manifest writes it."""
        return f"python{self.python}"

    @property
    def platform(self) -> str:
        """The platform whose wheels it takes, in uv's words. Raises `errors.BuildFailed` for one without wheels."""
        machine, libc = _MACHINES.get(self.machine.lower()), _LIBCS.get(self.libc)
        if machine is None or libc is None:
            raise errors.BuildFailed(f"there are no wheels for {self}", hint="remove `requirements`")
        return f"{machine}-unknown-linux-{libc}"

    def __str__(self) -> str:
        return f"Python {self.python} on Linux {self.machine} ({self.libc})"


def decode(published: Mapping[bytes, bytes]) -> list[RuntimeInfo]:
    """What nodes wrote at their start: a hash of "3.11" to a JSON object with ``machine`` and perhaps ``libc``."""
    return [
        msgspec.convert({**msgspec.json.decode(value), "python": field.decode()}, RuntimeInfo)
        for field, value in published.items()
    ]


def choose(runtime: str, available: Sequence[RuntimeInfo]) -> RuntimeInfo:
    """The newest Python that ``runtime`` (python3 or python3.N) allows.

    Raises `errors.BuildFailed` naming what there is, and `errors.Unavailable` while no node has said what it has.
    """
    if not available:
        raise errors.Unavailable(
            "no node has said which Python it runs", hint="is a node running? see `faas status`", retry_after_s=5
        )
    fitting = [info for info in available if runtime in ("python3", info.name)]
    if not fitting or _RUNTIME.fullmatch(runtime) is None:
        names = ", ".join(sorted((info.name for info in available), key=_version))
        raise errors.BuildFailed(
            f"runtime {runtime} is not available; the sandboxes have {names}",
            hint="`runtime: python3` takes any",
            available=names,
        )
    return max(fitting, key=lambda info: _version(info.name))


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))
