"""Which engine a data directory has: chosen once, and never a weaker one because Docker is away."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from faas.cli import languages
from faas.core import settings as settings_module
from runners.engines import choose
from runners.engines.process import processes
from runners.sandbox import base
from tests import engine as engines
from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

CODE = """
def handler(event, context):
    return "here"
"""
MANIFEST = {
    "functions": {
        "f": {"runtime": "python3", "handler": "app.handler", "triggers": [{"http": {"path": "/f"}}]},
    }
}
ASYNC = {"Faas-Invocation-Type": "async"}


@pytest.mark.parametrize(
    ("asked", "known", "docker_answers", "is_root", "chosen"),
    [
        ("docker", None, False, True, "docker"),
        ("docker", "process", True, False, "docker"),
        ("process", "docker", True, True, "process"),
        ("process", None, True, True, "process"),
        ("auto", "docker", False, False, "docker"),
        ("auto", "docker", False, True, "docker"),
        ("auto", "process", True, False, "process"),
        ("auto", None, True, True, "docker"),
        ("auto", None, False, False, "process"),
    ],
)
def test_what_was_chosen_stays_and_docker_comes_first(
    asked: str, known: str | None, docker_answers: bool, is_root: bool, chosen: str
) -> None:
    assert choose.decide(asked, known, docker_answers=docker_answers, is_root=is_root) == chosen


def test_processes_of_root_are_nobodys_default() -> None:
    with pytest.raises(base.EngineUnavailable, match="processes of root") as refused:
        choose.decide("auto", None, docker_answers=False, is_root=True)
    assert "FAAS_ENGINE=process" in refused.value.hint


async def _chosen(data: Path, engine: str = "auto") -> str:
    limits = settings_module.of(data_dir=str(data), engine=engine)
    made = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    await made.close()
    return made.name


async def test_processes_that_were_asked_for_once_do_not_take_the_place_of_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert await _chosen(tmp_path) == "docker"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    assert await _chosen(tmp_path, "process") == "process"
    assert [record.message for record in caplog.records] == ["sandboxes_do_not_isolate"]
    with pytest.raises(base.EngineUnavailable, match="Docker does not answer"):
        await _chosen(tmp_path)


async def test_a_directory_of_processes_stays_one_until_docker_is_asked_for(tmp_path: Path) -> None:
    assert await _chosen(tmp_path, "process") == "process"
    assert await _chosen(tmp_path) == "process"
    assert await _chosen(tmp_path, "docker") == "docker"
    assert await _chosen(tmp_path) == "docker"


@pytest.mark.parametrize("content", ["", "Docker", "docker process", "../process", "\x00"])
async def test_a_choice_that_cannot_be_read_is_no_choice(tmp_path: Path, content: str) -> None:
    (tmp_path / "engine").write_text(content)
    with pytest.raises(base.EngineUnavailable, match="names no engine"):
        await _chosen(tmp_path, "auto")
    assert (tmp_path / "engine").read_text() == content


def test_the_process_engine_says_that_it_contains_nothing() -> None:
    assert not processes.ProcessEngine.isolates


def test_a_runtime_is_taken_by_name_and_one_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    refused = platforms.Platform(tmp_path / "none", {}).faas(
        "up", "--detach", "--port", "0", "--engine", "docker", "--sandbox-runtime", "no-such-runtime"
    )
    assert refused.returncode == 9, refused.stderr
    assert "'no-such-runtime', which this engine does not have" in refused.stderr
    assert "runc" in refused.stderr
    plain = platforms.Platform(tmp_path / "plain", {}).faas(
        "up", "--detach", "--port", "0", "--engine", "process", "--sandbox-runtime", "runc"
    )
    assert "plain processes have none" in plain.stderr
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "app.py").write_text(CODE)
    with platforms.running(tmp_path / "data", "--engine", "docker", "--sandbox-runtime", "runc") as platform:
        platform.deploy(tmp_path / "project", MANIFEST)
        assert platform.call("/f").body == b"here"
        facts = {fact["name"]: fact for fact in platform.json("doctor")["facts"]}
    assert "runtime runc" in facts["docker"]["text"]
    assert "seccomp" in facts["docker"]["text"]
    assert facts["sandboxes"]["state"] == "ok"


def test_a_node_that_starts_again_while_docker_is_away_refuses_calls_and_runs_nothing_on_the_host(
    tmp_path: Path,
) -> None:
    with engines.own() as engine:
        settings = {"base_image": engine.image, "heartbeat_ms": "200", "lease_ms": "2000"}
        with platforms.running(tmp_path / "data", docker_host=engine.host, **settings) as platform:
            (tmp_path / "project").mkdir()
            (tmp_path / "project" / "app.py").write_text(CODE)
            platform.deploy(tmp_path / "project", MANIFEST)
            assert platform.call("/f").body == b"here"
            engine.stop()
            killed = platform.processes()["node"]
            os.kill(killed, signal.SIGKILL)
            eventually_sync(lambda: platform.processes()["node"] not in (killed, None), within=60)
            refused = platform.call("/f")
            assert (refused.status, refused.json()["error"]["code"]) == (503, "unavailable")
            assert "Docker does not answer" in refused.json()["error"]["message"]
            assert platform.call("/nothing").status == 404
            accepted = platform.call("/f", b"", headers=ASYNC)
            assert accepted.status == 202
            facts = {fact["name"]: fact for fact in json.loads(platform.faas("doctor", "--json").stdout)["facts"]}
            assert facts["docker"]["state"] == "failed"
            assert "or not at all" in facts["docker"]["hint"]
            engine.start()
            assert platform.record(accepted.json()["invocation_id"])["status"] == "ok"
            eventually_sync(lambda: platform.call("/f").status == 200, within=60)
            assert [node["engine"] for node in platform.json("status")["nodes"]] == ["docker"]
