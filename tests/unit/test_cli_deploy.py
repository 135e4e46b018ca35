"""What `faas deploy` sends, and which functions of many it shows."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from faas.cli import client, deploy, progress
from faas.core import errors
from faas.core.manifest import loading

MANIFEST = """
functions:
  a: {runtime: python3, handler: app.handler, source: one}
  b: {runtime: python3, handler: app.handler, source: one}
  c: {runtime: python3, handler: app.handler, source: two}
"""


class Api:
    """A control API that has built no source, or all but some, and remembers what was sent to it."""

    def __init__(self, missing: Iterable[str] | None = None) -> None:
        self.bodies: list[bytes] = []
        self._missing = missing

    def send(self, method: str, path: str, *, body: Iterable[bytes], headers: Mapping[str, str]) -> client.ApiReply:
        self.bodies.append(b"".join(body))
        if self._missing is not None:
            missing, self._missing = list(self._missing), None
            raise errors.SourceMissing("there is no source", missing=missing)
        return client.ApiReply(202, {}, {"id": "1"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(f"NAME = {name!r}\n" * 100)
    (tmp_path / "faas.yaml").write_text(MANIFEST)
    return tmp_path


def uploaded(api: Any, folder: Path) -> dict[str, str]:
    """Upload the project; the SHA-256 of each folder's tar, by the name of the folder."""
    with tempfile.TemporaryFile() as spool, click.Context(deploy.deploy_command):
        assert deploy._upload(api, loading.load(folder), folder / "faas.yaml", spool, {}) == "1"
    content = api.bodies[0]
    start = content.index(b"\r\n\r\n") + 4
    project = msgspec.json.decode(content[start : content.rindex(b"\r\n--")])
    return {function["name"]: function["source"] for function in project["functions"]}


def test_what_was_built_before_is_not_sent(folder: Path) -> None:
    api = Api()
    sources = uploaded(api, folder)
    assert sources["a"] == sources["b"] != sources["c"]
    assert [body.count(b'name="source"') for body in api.bodies] == [0]


def test_what_is_asked_for_is_sent_once_however_many_functions_share_it(folder: Path) -> None:
    sha256 = uploaded(Api(), folder)["a"]
    api = Api(missing=[sha256])
    uploaded(api, folder)
    assert [body.count(b'name="source"') for body in api.bodies] == [0, 1]
    sent = api.bodies[1].split(b"application/x-tar\r\n\r\n")[1].rpartition(b"\r\n--")[0]
    assert hashlib.sha256(sent).hexdigest() == sha256
    assert b"NAME = 'one'" in sent


def test_a_platform_that_asks_for_what_was_sent_already_is_asked_no_third_time(folder: Path) -> None:
    class Forgetful(Api):
        def send(self, *arguments: Any, **options: Any) -> client.ApiReply:
            self._missing = ["0" * 64]
            return super().send(*arguments, **options)

    with pytest.raises(errors.SourceMissing):
        uploaded(Forgetful(), folder)


def rows(states: Mapping[str, str]) -> progress.Rows:
    return {name: [{"function": name, "name": "load", "state": state}] for name, state in states.items()}


def test_of_many_functions_those_are_shown_that_something_happens_to() -> None:
    few = rows({"a": "done", "b": "waiting"})
    assert progress.under_way(few) == few
    states = {f"done{number}": "done" for number in range(20)} | {f"next{number}": "waiting" for number in range(20)}
    assert list(progress.under_way(rows(states | {"now": "running", "bad": "failed"}))) == ["now", "bad"]
    crowd = progress.under_way(rows({f"f{number}": "running" for number in range(1000)}))
    assert len(crowd) == progress.MOST_ROWS
