"""The platform as its users have it: `faas up`, `faas deploy`, calls of its gateway, `faas down`."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from prometheus_client import parser

from tests.bench import peers_home, processes

FUNCTIONS = Path(__file__).with_name("functions")
SLEEPING = Path(__file__).with_name("sleeping")
_RECORDED_WITHIN_S = 15


class Platform:
    """One running platform with real containers."""

    def __init__(self, root: Path, facts: dict[str, Any]) -> None:
        self.root = root
        self.gateway: str = facts["gateway"].rstrip("/")
        self._api: str = facts["api"].rstrip("/")
        self._token = Path(facts["token_file"]).read_text().strip()

    def url(self, function: str) -> str:
        """Where a function is called."""
        return f"{self.gateway}/fn/{function}"

    def batch_url(self, function: str) -> str:
        """Where events are sent to a function many at a time."""
        return f"{self._api}/api/v1/functions/{function}/invocations:batch"

    @property
    def authorization(self) -> dict[str, str]:
        """What lets a call of its control API through."""
        return {"Authorization": f"Bearer {self._token}"}

    def ask(self, path: str) -> Any:
        """The JSON at a path of the control API."""
        return msgspec.json.decode(self._get(f"/api/v1/{path}"))

    def objects(self, bucket: str, after: str, most: int) -> Any:
        """A page of the objects of a bucket: those behind a key."""
        asked = urllib.parse.urlencode({"limit": most, "after": after})
        return msgspec.json.decode(self._get(f"/buckets/{bucket}?{asked}"))

    def sandboxes(self) -> dict[str, int]:
        """How many sandboxes its nodes have in each state, as of their last heartbeats."""
        found: Counter[str] = Counter()
        for node in self.ask("status")["nodes"]:
            found.update(node["sandboxes"])
        return dict(found)

    def processes(self) -> dict[int, str]:
        """Its processes that run now, by id; all nodes have the same name."""
        told = self._told()
        named = {each["pid"]: each["name"].partition("-")[0] for each in told["processes"]}
        return {told["pid"]: "up", **named}

    def places(self, function: str) -> dict[str, int]:
        """Where the invocations of a function are."""
        return dict(self.ask("status")["functions"].get(function, {}))

    @property
    def redis_url(self) -> str:
        """Its Redis, as its own processes reach it."""
        return str(self._told()["redis_url"])

    def revision(self, function: str) -> int:
        """The number of a function's current revision."""
        return int(self.ask(f"functions/{function}")["revision"])

    def record(self, invocation_id: str) -> dict[str, Any]:
        """The record of an invocation's first attempt, once it is in the ledger."""
        path = f"invocations/{invocation_id}"
        found = processes.until(lambda: self._found(path), within_s=_RECORDED_WITHIN_S, what=f"{path} is recorded")
        return dict(found["records"][0])

    def recorded(self, function: str) -> int:
        """How many records of a function's attempts are in the ledger."""
        families = parser.text_string_to_metric_families(self._get("/metrics").decode())
        (ended,) = [family for family in families if family.name == "faas_invocations"]
        return int(sum(sample.value for sample in ended.samples if sample.labels.get("function") == function))

    def _told(self) -> dict[str, Any]:
        """What `faas up` says of itself."""
        return dict(msgspec.json.decode((self.root / "platform.json").read_bytes()))

    def _found(self, path: str) -> Any:
        with contextlib.suppress(click.ClickException):  # 404 until the recorder has it
            return self.ask(path)
        return None

    def _get(self, path: str) -> bytes:
        return processes.get(f"{self._api}{path}", self.authorization)


@contextlib.contextmanager
def running(root: Path, project: Path, **settings: str) -> Iterator[Platform]:
    """A platform with a project, in a data directory of its own; ``settings`` are FAAS_ variables without that."""
    chosen = {f"FAAS_{name.upper()}": value for name, value in settings.items()}
    chosen = {"FAAS_DATA_DIR": str(root), "FAAS_ENGINE": "docker", **chosen}
    facts = msgspec.json.decode(_faas(chosen, "up", "--detach", "--json", "--port", "0"))
    try:
        _faas(chosen, "deploy", str(project))
        yield Platform(root, facts)
    finally:
        _faas(chosen, "down")


def _faas(settings: dict[str, str], *arguments: str) -> bytes:
    return processes.output([peers_home.own_command("faas"), *arguments], env=processes.environ(**settings))
