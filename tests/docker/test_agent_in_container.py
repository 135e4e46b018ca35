"""The agent in a real container, shut off as sandboxes are: not root, nothing writable but /tmp, no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from faas.core import settings
from tests import base_image
from tests.agent_harness import AGENT, FUNCTIONS, Agent, accepted, listening
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

USER = 65_534
LABEL = "faas.test"


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def container(engine: docker.DockerClient, tmp_path: Path) -> Iterator[tuple[Container, Agent]]:
    with listening() as (folder, listener):
        container = engine.containers.run(
            base_image.of(engine.api, settings.of(data_dir=str(tmp_path))),
            ["-u", "-B", "/agent", "/socket"],
            entrypoint=["python3"],
            detach=True,
            labels={LABEL: "agent"},
            user=f"{USER}:{USER}",
            read_only=True,
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="256m",
            pids_limit=64,
            environment={"HOME": "/tmp"},
            tmpfs={"/tmp": "size=16m,mode=1777"},
            volumes={
                str(AGENT): {"bind": "/agent", "mode": "ro"},
                str(FUNCTIONS): {"bind": "/functions", "mode": "ro"},
                str(folder): {"bind": "/socket", "mode": "ro"},
            },
        )
        try:
            with accepted(listener, {}) as agent:
                yield container, agent
        finally:
            container.remove(force=True)


def load(agent: Agent, function: str, handler: str = "app.handler") -> None:
    frame = agent.load(Path("/functions") / function, handler)
    assert frame.kind == "loaded", frame.output


def test_a_handler_and_its_child_print_and_answer_in_a_container(container: tuple[Container, Agent]) -> None:
    _container, agent = container
    load(agent, "child_process")
    frame = agent.invoke({"from": "outside"})
    assert frame.output == "from the handler\nfrom a child\n"
    assert frame.result["event"] == {"from": "outside"}
    assert frame.result["uid"] == USER
    assert frame.result["root"] == "Read-only file system"
    assert frame.result["interfaces"] == ["lo"]


def test_the_agent_is_not_process_1_and_orphans_do_not_stay_as_zombies(container: tuple[Container, Agent]) -> None:
    running, agent = container
    load(agent, "child_process")
    found = agent.invoke().result
    assert found["pid"] == agent.ready["pid"] != 1
    assert eventually_sync(lambda: not _zombies(running))


def _zombies(container: Container) -> list[list[str]]:
    shown = container.top(ps_args="-eo pid,stat,args")
    column = shown["Titles"].index("STAT")
    return [row for row in shown["Processes"] if row[column].startswith("Z")]


def test_the_container_ends_with_the_agents_own_status(container: tuple[Container, Agent]) -> None:
    running, agent = container
    load(agent, "crash")
    agent.send_invoke("SIGKILL")
    with pytest.raises(EOFError):
        agent.next_frame()
    assert agent.printed() == "before the end\n"
    assert running.wait(timeout=30)["StatusCode"] == 128 + 9


def test_the_container_ends_when_the_runner_hangs_up(container: tuple[Container, Agent]) -> None:
    running, agent = container
    load(agent, "echo")
    agent.sock.close()
    assert running.wait(timeout=30)["StatusCode"] == 0
