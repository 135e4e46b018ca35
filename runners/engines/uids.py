"""The user that each sandbox runs as: one of its own, since the kernel has limits that all processes of a user share.

A user's number stands for a group of the same number too. Which one a sandbox has is a symbolic link in the data
directory, made by whoever starts it and removed when its container and its folder have gone::

    R/uids/2000000017 -> <runner>-<n>

So nodes of one platform never agree on one, and one whose sandbox may still run is not given again, whoever died. The
next one tried is the one above the last, from a place that is another for each runner: it takes long until one returns.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import random
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from faas.core import groups
from runners.sandbox import base

ON_THE_HOST = "2000000000-2000065535"
"""Above what distributions give to people, services, containers of systemd and user namespaces."""

REMAPPED = "10000-59999"
"""Where the engine maps users, so that there are few: its namespace is nobody else's."""

_RANGE = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")
_FEWEST = 64
_HIGHEST = 4294967294
_SUBORDINATE = ("/etc/subuid", "/etc/subgid")


class Range(msgspec.Struct, frozen=True):
    """The numbers from ``first`` to ``last``, both among them."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def from_place(self, place: int) -> Iterator[int]:
        """Each number once, from any place on."""
        for step in range(len(self)):
            yield self.first + (place + step) % len(self)


class Others(msgspec.Struct, frozen=True):
    """Who else has numbers on this host: each a name for people, and the numbers it has."""

    names: tuple[tuple[str, Range], ...]


def open_for(root: Path, sandboxes: groups.Sandboxes, *, remaps_users: bool) -> Uids:
    """The numbers of a data directory for the containers of an engine. Blocks. Raises as `given` does."""
    try:
        return Uids(root / "uids", given(sandboxes.sandbox_uids, remaps_users=remaps_users))
    except OSError as error:
        raise base.EngineUnavailable(f"{root / 'uids'} cannot be made: {error.strerror}") from error


def given(setting: str, *, remaps_users: bool = False) -> Range:
    """The numbers of the sandboxes of an engine: what the setting says, or what suits it. Blocks.

    Raises `base.EngineUnavailable` for a setting that is no range, and for one of which somebody else has a part; where
    the engine maps users, theirs mean nothing on the host.
    """
    if remaps_users:
        return parse(setting or REMAPPED)
    found = parse(setting or ON_THE_HOST)
    check(found, others())
    return found


def parse(text: str) -> Range:
    """The range that a setting names: ``2000000000-2000065535``. Raises `base.EngineUnavailable`."""
    match = _RANGE.fullmatch(text)
    found = Range(int(match[1]), int(match[2])) if match is not None else Range(0, 0)
    if found.first < 1 or found.last > _HIGHEST or found.last - found.first + 1 < _FEWEST:
        raise base.EngineUnavailable(
            f"sandbox_uids is {text[:60]!r}, and not a range of users",
            hint=f"write the first and the last number, {_FEWEST} of them or more and none of root: {ON_THE_HOST}",
        )
    return found


def check(wanted: Range, others: Others) -> None:
    """Raise `base.EngineUnavailable` for a range of which somebody else has a part."""
    for name, held in others.names:
        if held.first <= wanted.last and wanted.first <= held.last:
            raise base.EngineUnavailable(
                f"sandbox_uids {wanted.first}-{wanted.last} are not the sandboxes' alone: {name} has"
                f" {held.first}-{held.last}",
                hint="name a range in sandbox_uids that is neither in /etc/passwd, /etc/group, /etc/subuid nor subgid",
            )


def others() -> Others:
    """Whoever has numbers here by the databases of users and groups and of subordinate ones. Blocks."""
    names = [(f"user {each.pw_name}", Range(each.pw_uid, each.pw_uid)) for each in pwd.getpwall()]
    names += [(f"group {each.gr_name}", Range(each.gr_gid, each.gr_gid)) for each in grp.getgrall()]
    for path in _SUBORDINATE:
        with contextlib.suppress(OSError):
            names += subordinate(path, Path(path).read_text(errors="replace").splitlines())
    return Others(tuple(names))


def subordinate(path: str, lines: Iterable[str]) -> list[tuple[str, Range]]:
    """What lines like ``name:100000:65536`` give away; others are passed over, as the tools that read them do."""
    found = []
    for line in lines:
        name, _, rest = line.strip().partition(":")
        first, _, count = rest.partition(":")
        if first.isdecimal() and count.isdecimal() and int(count):
            found.append((f"{name} in {path}", Range(int(first), int(first) + int(count) - 1)))
    return found


class Uids:
    """The numbers of one data directory, as one runner gives them to its sandboxes. Every method blocks."""

    def __init__(self, root: Path, given: Range) -> None:
        self.range = given
        self._root = root
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Runners that start at once would try the same numbers, one behind the other.
        self._place = random.randrange(len(given))  # noqa: S311 - it is no secret

    def take(self, sandbox: str) -> int:
        """A number that is the sandbox's until `give_back`. Raises `base.EngineUnavailable` when all are taken."""
        running = _users_of_processes()
        for number in self.range.from_place(self._place):
            # Another platform of this machine, or somebody who is in no database.
            if number not in running and self._hold(number, sandbox):
                self._place = number - self.range.first + 1
                return number
        raise base.EngineUnavailable(
            f"all {len(self.range)} users of sandbox_uids are taken", hint="widen the range of sandbox_uids"
        )

    def _hold(self, number: int, sandbox: str) -> bool:
        try:
            # To make a link says in one step whether the number was free, and whose it is now.
            (self._root / str(number)).symlink_to(sandbox)
        except FileExistsError:
            return False
        except OSError as error:
            raise base.EngineUnavailable(f"no user for a sandbox could be noted: {error.strerror}") from error
        return True

    def give_back(self, number: int, sandbox: str) -> None:
        """Free the number of a sandbox of which nothing is left. Does nothing when it is not its own any more."""
        link = self._root / str(number)
        with contextlib.suppress(OSError):
            if str(link.readlink()) == sandbox:
                link.unlink()

    def of(self, sandbox: str) -> list[int]:
        """The numbers that a sandbox has."""
        found = []
        for link in self._root.iterdir():
            with contextlib.suppress(OSError, ValueError):
                if str(link.readlink()) == sandbox:
                    found.append(int(link.name))
        return found

    def give_back_all(self, has_gone: Callable[[str], bool]) -> None:
        """Free the numbers of sandboxes of which nothing is left; anything else in the folder is left alone."""
        for link in self._root.iterdir():
            with contextlib.suppress(OSError):
                if has_gone(str(link.readlink())):
                    link.unlink()


def _users_of_processes() -> set[int]:
    """The users that processes of this machine have now; one that ends meanwhile is left out."""
    found = set()
    # The owner of a process's folder is its user: no file of it has to be read.
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    found.add(entry.stat(follow_symlinks=False).st_uid)
    return found
