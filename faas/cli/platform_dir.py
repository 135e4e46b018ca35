"""The files by which a running platform is known in its data directory: the lock, the token and platform.json."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from faas.core import errors, living

PLATFORM_FILE = "platform.json"
TOKEN_FILE = "token"  # noqa: S105 - the name of a file
_LOCK_FILE = "lock"


class Owner(msgspec.Struct, frozen=True):
    """The process that runs a platform. Its start (clock ticks since boot) tells it from a later one of the same id."""

    pid: int
    started: int


def prepare(root: Path) -> None:
    """Make the data directory and its logs folder. Raises `errors.Unavailable` when they cannot be written."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / "logs").mkdir(mode=0o700, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise errors.Unavailable(
            f"the data directory {root} cannot be written: {error.strerror}",
            hint="choose another with --data-dir or FAAS_DATA_DIR",
        ) from error


@contextlib.contextmanager
def held(root: Path) -> Any:
    """Hold the data directory for this process. Raises `errors.Conflict` naming the process that holds it already."""
    descriptor = os.open(root / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = _owner(os.pread(descriptor, 200, 0))
            who = f"process {owner.pid}" if owner else "another process"
            raise errors.Conflict(
                f"a platform runs on {root} already ({who})", hint="`faas down` ends it", pid=owner and owner.pid
            ) from error
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
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner(os.pread(descriptor, 200, 0))
    finally:
        os.close(descriptor)
    return None


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
    except (OSError, msgspec.DecodeError):
        return None


def replace(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 so that readers see the old content or the new, whole. Raises `OSError`."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _owner(raw: bytes) -> Owner | None:
    try:
        return msgspec.json.decode(raw, type=Owner)
    except msgspec.DecodeError:
        return None
