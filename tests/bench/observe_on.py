"""The platform that is looked at: all of it, on the large ledger, and how it is asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tests.bench import observe_records, peers_home, processes

_TALKED_WITHIN_S = 60


class On:
    """A platform on the large ledger."""

    def __init__(self, root: Path, told: dict[str, Any], rows: int) -> None:
        self.root = root
        self.rows = rows
        self.gateway = str(told["gateway"]).rstrip("/")
        self._api = str(told["api"]).rstrip("/")
        self.authorization = {"Authorization": f"Bearer {Path(told['token_file']).read_text().strip()}"}

    @property
    def env(self) -> dict[str, str]:
        """The environment of a command that finds this platform."""
        return processes.environ(FAAS_DATA_DIR=str(self.root))

    def command(self, *arguments: str) -> bytes:
        """What a command of `faas` prints."""
        return processes.output([peers_home.own_command("faas"), *arguments], env=self.env)

    def url(self, path: str) -> str:
        """The address of a path of the control API, below ``/api/v1/``."""
        return f"{self._api}/api/v1/{path}"

    def get(self, *paths: str) -> list[Any]:
        """The answers at paths of the control API, one after the other."""
        bodies = [processes.get(self.url(path), self.authorization) for path in paths]
        return [msgspec.json.decode(body) for body in bodies]

    def buckets(self) -> bytes:
        """The buckets, whose path is none of ``/api/v1/``."""
        return processes.get(f"{self._api}/buckets", self.authorization)

    def running(self) -> dict[int, str]:
        """Its processes, by id."""
        told = _told(self.root) or {}
        return {told["pid"]: "up", **{each["pid"]: each["name"] for each in told["processes"]}}

    @property
    def rare_text(self) -> str:
        """What stands in one line of the last day, and in no other."""
        return observe_records.text(self._late(2), "").partition(" took")[0].partition("done, ")[2]

    @property
    def long_chain(self) -> str:
        """The first invocation of a chain that has `observe_records.LONG_CHAIN`: these cost most."""
        return str(self.get("traces?order=costliest&limit=1")[0]["traces"][0]["root_id"])

    def _late(self, of_three: int) -> int:
        number = self.rows - self.rows // 60
        return number - number % 3 + of_three


@contextlib.contextmanager
def platform(root: Path, rows: int) -> Iterator[On]:
    """All of it, on the ledger that was made; nothing is past its time."""
    kept = {
        f"FAAS_KEEP_{what}_DAYS": "0" for what in ("RECORDS", "LOGS", "MINUTES", "HOURS", "DEAD_LETTERS", "REVISIONS")
    }
    env = processes.environ(
        FAAS_DATA_DIR=str(root), FAAS_ENGINE="process", FAAS_PORT="0", FAAS_API_PORT="0", FAAS_KEEP_LOGS_MB="0", **kept
    )
    command = [peers_home.own_command("faas"), "up", "--quiet"]
    (root / "platform.json").unlink(missing_ok=True)
    with processes.running(command, root / "up.log", env=env):
        told = processes.until(lambda: _told(root), within_s=_TALKED_WITHIN_S, what="the platform is up")
        yield On(root, told, rows)


def _told(root: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        told = msgspec.json.decode((root / "platform.json").read_bytes())
        return dict(told) if told.get("api") else None
    return None


def took_s(work: Callable[[], object]) -> float:
    """How long something took."""
    began_s = time.monotonic()
    work()
    return time.monotonic() - began_s
