"""Which runtimes the sandboxes of nodes have, as nodes publish it and builds read it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from faas.core.values import unreadable

_NAME = re.compile(r"[a-z]{1,30}[0-9]{0,3}(\.[0-9]{1,3}){0,2}")


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a language that sandboxes have: ``python3.11``. ``libc`` is glibc or musl."""

    name: str
    machine: str = "x86_64"
    libc: str = "glibc"

    def __str__(self) -> str:
        return f"{self.name} on Linux {self.machine} ({self.libc})"


class _Told(msgspec.Struct, frozen=True):
    machine: str = "x86_64"
    libc: str = "glibc"


def encode(has: Installed) -> tuple[str, bytes]:
    """Field and value in the hash that nodes write at their start: the name, and a JSON object of the rest."""
    return has.name, msgspec.json.encode(_Told(has.machine, has.libc))


def decode(published: Mapping[bytes, bytes]) -> list[Installed]:
    """What nodes wrote, which may hold more than this version knows.

    What cannot be read is passed over, and so is a name of another form: it becomes a part of command lines.
    """
    read = (_read(field, value) for field, value in published.items())
    return [one for one in read if one is not None]


def _read(field: bytes, value: bytes) -> Installed | None:
    try:
        told, name = msgspec.json.decode(value, type=_Told), field.decode()
    except unreadable.ERRORS:
        return None
    return Installed(name=name, machine=told.machine, libc=told.libc) if _NAME.fullmatch(name) else None
