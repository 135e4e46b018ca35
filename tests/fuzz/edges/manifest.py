"""`faas.yaml`: any bytes are a project, or faults that say where they stand; what is taken can be run."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from faas.core import errors, model
from faas.core.manifest import loading
from tests.fuzz import edge, trees
from triggers import schedule

_WHOLE = b"""\
buckets:
  photos: {}
  thumbs: {path: ./thumbs}
functions:
  transcode:
    runtime: python3.11
    handler: app.handler
    source: ./src
    requirements: requirements.txt
    memory: 512MB
    cpu: 500m
    timeout: 60s
    env: {QUALITY: "80", SECRET: s}
    network: outbound
    buckets: {photos: read, thumbs: write}
    max_concurrency: 3
    prewarm: 1
    triggers:
      - upload: {bucket: photos, prefix: in/, suffix: [.jpg, .png]}
      - http: {path: "/thumb/{name}", methods: [GET], max_delay: 10m}
      - timer: {cron: "*/5 * * * *", timezone: Europe/Vienna, on_missed: once, input: {a: [1, null]}}
      - timer: {every: 10s}
    retries: {maximum_retry_attempts: 1, maximum_event_age: 1h, backoff: 1s}
    on_success: {bucket: thumbs, prefix: done/}
    on_failure: {url: "https://example.com/hook", secret: SECRET}
    idempotent: true
  again: &again {runtime: python3, handler: app.handler}
  third: {<<: *again, source: src}
"""
_WORDS = tuple(dict.fromkeys(word for word in _WHOLE.decode().replace(":", " ").split() if word.strip("{}[],-")))
_AT_MS = (0, 1_700_000_000_000, 4_102_444_800_000)


class ManifestEdge(edge.Edge):
    """The parser of manifests. It holds up nobody but who deploys, so it may take its time."""

    name = "manifest"
    most_cpu_s = 5.0
    most_bytes = 8_000
    made_anew = 0.5
    tokens = (
        *(word.encode() for word in _WORDS),
        b"&a ", b"*a", b"<<: *a\n", b"!!python/object:os.system ", b"!!binary ", b"!!set ", b"? ", b"- ", b"|\n",
        b">\n", b"---\n",
        b"...\n", b"%YAML 9.9\n", b"# ", b"\n  ", b"\n    ", b": ", b"{", b"[", b"'", b'"',
    )  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """A project with a source, and a file in it."""
        (around.home / "src").mkdir()
        (around.home / "src" / "requirements.txt").touch()
        self._file = around.home / "faas.yaml"

    def seeds(self) -> Iterable[bytes]:
        """One manifest with every key, and the smallest."""
        yield _WHOLE
        yield b"functions: {a: {runtime: python3, handler: a.b}}\n"

    def make(self, chance: random.Random) -> bytes:
        """A manifest whose tree was changed, so that it is YAML still."""
        made = trees.changed(chance, yaml.safe_load(_WHOLE), _WORDS)
        return yaml.safe_dump(made, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")

    async def attempt(self, given: bytes) -> str:
        """Read it, and try what is taken."""
        try:
            project = loading.parse(given, self._file)
        except errors.ManifestErrors as refused:
            _check_told(refused, self._file)
            return "refused: " + " ".join(sorted({edge.said(one.data["expected"])[:40] for one in refused.errors}))
        packed = msgspec.json.encode(project)
        again = msgspec.json.encode(msgspec.json.decode(packed, type=model.Project))
        edge.check(msgspec.json.decode(again) == msgspec.json.decode(packed), "a project does not survive its JSON")
        for function in project.functions:
            _check_timers(function.config)
        return "taken: " + edge.said(sorted(_kinds(project)))


def _check_told(refused: errors.ManifestErrors, file: Path) -> None:
    edge.check(refused.errors, "refused without a fault")
    for fault in refused.errors:
        told = fault.message
        edge.check(
            told.startswith(f"{file}:{fault.data['line']}:{fault.data['column']}: "), f"does not say where: {told!a}"
        )
        edge.check(told.isprintable(), f"not one printable line: {told!a}")
        edge.check(len(told) < 4_000, "a fault of thousands of characters")
        msgspec.json.encode(fault.body())


def _check_timers(config: model.FunctionConfig) -> None:
    for trigger in config.triggers:
        if isinstance(trigger, model.TimerTrigger):
            for at_ms in _AT_MS:
                due = schedule.next_due(trigger, at_ms)
                edge.check(due is None or due > at_ms, "due before it was asked for")
                next(iter(schedule.latest_dues(trigger, at_ms)), None)


def _kinds(project: model.Project) -> set[str]:
    found: set[str] = set()
    for function in project.functions:
        values: dict[str, Any] = msgspec.structs.asdict(function.config)
        found |= {key for key, value in values.items() if value}
    return found
