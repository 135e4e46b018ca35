"""Which engines are refused, by their name and with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.core import settings as settings_module
from runners.engines.docker import abilities, support
from runners.sandbox import base

DOCKER = {
    "ServerVersion": "26.1.5",
    "Architecture": "x86_64",
    "CgroupVersion": "2",
    "Runtimes": {"runc": {"path": "runc"}, "runsc": {"runtimeType": "io.containerd.runsc.v1"}},
    "SecurityOptions": ["name=seccomp,profile=builtin"],
    "MemoryLimit": True,
    "PidsLimit": True,
    "CpuCfsQuota": True,
}
PODMAN = {**DOCKER, "BuildahVersion": "1.28.2", "ServerVersion": "4.3.1"}
ROOTLESS = {**DOCKER, "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}


def check(chosen: settings_module.Settings, has: abilities.Abilities, user: int) -> None:
    support.check(chosen.data.root, chosen.sandboxes, has, user)


def refused(answer: dict[str, object], user: int = 0, **settings: str) -> base.EngineUnavailable:
    with pytest.raises(base.EngineUnavailable) as caught:
        check(settings_module.of(**settings), abilities.parse(answer), user)
    return caught.value


@pytest.mark.parametrize(("answer", "user"), [(DOCKER, 0), (DOCKER, 1000), (PODMAN, 0), (ROOTLESS, 1000)])
def test_engines_that_are_supported_are_not_refused(answer: dict[str, object], user: int) -> None:
    check(settings_module.Settings(), abilities.parse(answer), user)


def test_an_engine_that_says_nothing_of_its_limits_is_looked_at_later() -> None:
    check(settings_module.Settings(), abilities.parse({}), 0)


def test_a_runtime_that_the_engine_does_not_have_is_refused_by_name() -> None:
    error = refused(DOCKER, sandbox_runtime="kata")
    assert "'kata', which this engine does not have" in error.message
    assert "runc, runsc" in error.hint


@pytest.mark.parametrize("arguments", [None, [], ["--platform=systrap", "--host-uds=none"]])
def test_gvisor_that_lets_nobody_out_is_refused_with_what_is_missing(arguments: list[str] | None) -> None:
    runsc = {"path": "/usr/local/bin/runsc", "runtimeArgs": arguments}
    error = refused({**DOCKER, "Runtimes": {"gvisor": runsc}}, sandbox_runtime="gvisor")
    assert "runtime gvisor cannot connect to the platform's sockets" in error.message
    assert '"--host-uds=open"' in error.hint
    refused({**DOCKER, "Runtimes": {"gvisor": runsc}, "DefaultRuntime": "gvisor"})


@pytest.mark.parametrize("argument", ["--host-uds=open", "--host-uds=all", "-host-uds=open"])
def test_gvisor_that_may_connect_is_taken(argument: str) -> None:
    runsc = {"path": "/usr/local/bin/runsc", "runtimeArgs": ["--platform=systrap", argument]}
    has = abilities.parse({**DOCKER, "Runtimes": {"gvisor": runsc, "kata": {"path": "/usr/bin/kata"}}})
    for name in ("gvisor", "kata"):
        check(settings_module.of(sandbox_runtime=name), has, 0)


def test_podman_which_passes_over_a_runtime_is_refused_with_one() -> None:
    error = refused(PODMAN, sandbox_runtime="runsc")
    assert "'runsc', and Podman does not listen" in error.message
    assert "containers.conf" in error.hint


@pytest.mark.parametrize(
    ("field", "what"), [("MemoryLimit", "memory"), ("PidsLimit", "processes"), ("CpuCfsQuota", "processor time")]
)
def test_an_engine_that_cannot_limit_a_container_is_refused(field: str, what: str) -> None:
    error = refused({**ROOTLESS, field: False}, user=1000)
    assert error.message == f"rootless Docker 26.1.5 cannot limit {what} of a container here"
    assert "Delegate=" in error.hint


def test_a_rootless_engine_with_version_1_of_cgroups_is_refused_whatever_it_says() -> None:
    error = refused({**PODMAN, "CgroupVersion": "1", "Rootless": True}, user=1000)
    assert error.message == "rootless Podman 4.3.1 cannot limit memory, processes, processor time of a container here"


def test_rootless_podman_says_so_in_its_own_way() -> None:
    error = refused({**PODMAN, "Rootless": True}, user=0)
    assert "Podman is rootless, and the platform runs as root" in error.message


def test_a_rootless_engine_cannot_reach_what_is_roots() -> None:
    assert "Docker is rootless, and the platform runs as root" in refused(ROOTLESS, user=0).message


def test_a_path_that_podman_would_take_apart_is_refused() -> None:
    error = refused(PODMAN, data_dir="/srv/a,ro=false,b")
    assert "/srv/a,ro=false,b has a comma" in error.message
    check(settings_module.of(data_dir="/srv/a,b"), abilities.parse(DOCKER), 0)


@pytest.mark.parametrize(
    ("file", "text", "is_refused"),
    [
        ("memory.max", "134217728\n", False),
        ("memory.max", "max\n", True),
        ("memory.max", "268435456\n", True),
        ("memory.limit_in_bytes", "134217728\n", False),
        ("memory.limit_in_bytes", "9223372036854771712\n", True),
        ("memory.current", "1\n", True),
    ],
)
def test_an_engine_that_only_says_that_it_limits_memory_is_found_out(
    tmp_path: Path, file: str, text: str, is_refused: bool
) -> None:
    (tmp_path / file).write_text(text)
    if is_refused:
        with pytest.raises(base.EngineUnavailable, match="without the limit of memory"):
            support.check_limited(tmp_path, 128 << 20)
    else:
        support.check_limited(tmp_path, 128 << 20)


def test_of_a_container_that_cannot_be_seen_nothing_is_known() -> None:
    support.check_limited(None, 128 << 20)
