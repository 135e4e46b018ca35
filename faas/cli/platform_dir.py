"""The files by which a running platform is known in its data directory: the lock, the token and platform.json."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from faas.core import errors, settings
from faas.core.processes import living, locks
from faas.core.values import unreadable

PLATFORM_FILE = "platform.json"
TOKEN_FILE = "token"  # noqa: S105 - the name of a file
_LOCK_FILE = "lock"
_SHARED = "buckets"
"""What in the data directory keeps the modes that people gave it, in it and below."""

_OTHERS = 0o077


class Owner(msgspec.Struct, frozen=True):
    """The process that runs a platform. Its start (clock ticks since boot) tells it from a later one of the same id."""

    pid: int
    started: int


def keep_to_owner() -> None:
    """Let this process make nothing that other users may read; each of the platform's does so. Buckets have a rule of
    their own."""
    os.umask(_OTHERS)


def prepare(root: Path, say: Callable[[str], None]) -> None:
    """Make the data directory and its logs folder, and close what is there to other users, which is said.

    Raises `errors.Unavailable` when the directory cannot be written, or cannot be closed.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = narrow(root)
        if before is not None:
            say(f"{root} was open to other users (mode {before:04o}); it is closed now, with all in it")
        (root / "logs").mkdir(mode=0o700, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        # Rights say little: the disk may be full, or mounted for reading.
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise errors.Unavailable(
            f"the data directory {root} cannot be written: {error.strerror}",
            hint="choose another with --data-dir or FAAS_DATA_DIR",
        ) from error


def narrow(root: Path) -> int | None:
    """Take every right of others from the data directory and what lies in it, but not from buckets.

    What lies deeper is out of reach then. A link is left alone: what it leads to is not of this directory. The mode
    that the directory had, None when it was closed. Raises `OSError`.
    """
    before = _narrowed(root)
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name != _SHARED and not entry.is_symlink():
                _narrowed(Path(entry.path))
    return before


def _narrowed(path: Path) -> int | None:
    """Close a file or folder to other users; the mode that it had, None when it was closed or has gone meanwhile."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & _OTHERS:
            return None
        path.chmod(mode & ~_OTHERS)
    except FileNotFoundError:
        return None
    return mode


@contextlib.contextmanager
def held(root: Path) -> Any:
    """Hold the data directory for this process. Raises `errors.Conflict` naming the process that holds it already."""
    descriptor = os.open(root / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not locks.taken(descriptor):
            # What is written there is for people; that somebody holds the lock is what counts.
            owner = _owner(os.pread(descriptor, 200, 0))
            who = f"process {owner.pid}" if owner else "another process"
            raise errors.Conflict(
                f"a platform runs on {root} already ({who})", hint="`faas down` ends it", pid=owner and owner.pid
            )
        # Through the descriptor: the file must stay the one that is locked.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(Owner(os.getpid(), living.started_at(os.getpid()) or 0)), 0)
        yield
    finally:
        os.close(descriptor)


def running(root: Path) -> Owner | None:
    """The process that holds the data directory now, or None. The lock decides, not what a file says."""
    try:
        descriptor = os.open(root / _LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.Unavailable(f"{root / _LOCK_FILE} cannot be read: {error.strerror}") from error
    try:
        return None if locks.taken(descriptor, shared=True) else _owner(os.pread(descriptor, 200, 0))
    finally:
        os.close(descriptor)


def is_alive(owner: Owner) -> bool:
    """Whether the process id still means the process that took the lock."""
    return living.started_at(owner.pid) == owner.started


def token(root: Path) -> Path:
    """The file with the control API's token, readable by its owner only; made when there is none."""
    path = root / TOKEN_FILE
    with contextlib.suppress(FileNotFoundError):
        if path.read_text().strip():
            path.chmod(0o600)
            return path
    replace(path, f"{secrets.token_urlsafe(32)}\n".encode())
    return path


def publish(root: Path, facts: dict[str, Any]) -> None:
    """Write platform.json: where the running platform is to be found."""
    replace(root / PLATFORM_FILE, msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n")


def withdraw(root: Path) -> None:
    """Remove platform.json: nothing runs any more."""
    (root / PLATFORM_FILE).unlink(missing_ok=True)


def published(root: Path) -> dict[str, Any] | None:
    """What platform.json says, or None when there is none that can be read."""
    try:
        return msgspec.json.decode((root / PLATFORM_FILE).read_bytes(), type=dict[str, Any])
    except (OSError, *unreadable.ERRORS):
        return None


def as_running(chosen: settings.Settings) -> settings.Settings:
    """The settings with the `bucket_roots` of the platform that runs, which may have got them from its environment."""
    facts = (published(chosen.data.root) or {}) if running(chosen.data.root) else {}
    return settings.changed(chosen, bucket_roots=str(facts.get("bucket_roots", chosen.data.bucket_roots)))


def replace(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 so that readers see the old content or the new, whole. Raises `OSError`."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            # Renaming may reach the disk first, and a crash would leave an empty file under the name.
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _owner(raw: bytes) -> Owner | None:
    try:
        return msgspec.json.decode(raw, type=Owner)
    except unreadable.ERRORS:
        return None
