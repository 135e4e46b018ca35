"""What is read of an engine's answer, and what follows for sandboxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from runners.engines import building, uids
from runners.engines.docker import abilities, confinement, promises
from runners.sandbox import base

HERE = {
    "ServerVersion": "28.2.2",
    "Architecture": "x86_64",
    "CgroupVersion": "2",
    "Runtimes": {"runc": {}, "runsc": {}, "io.containerd.runc.v2": {}},
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "CPUShares": True,
}


def test_an_engines_answer_says_what_it_has() -> None:
    assert abilities.parse(HERE) == abilities.Abilities(
        maker="Docker",
        version="28.2.2",
        machine="x86_64",
        cgroups=2,
        runtimes=("io.containerd.runc.v2", "runc", "runsc"),
        has_seccomp=True,
    )


@pytest.mark.parametrize(
    ("option", "is_rootless"), [("name=rootless", True), ("name=userns", False), ("name=userns,profile=x", False)]
)
def test_an_engine_that_maps_users_is_known(option: str, is_rootless: bool) -> None:
    has = abilities.parse({**HERE, "SecurityOptions": [option]})
    assert has.remaps_users
    assert (has.is_rootless, has.has_cpu_shares) == (is_rootless, not is_rootless)


@pytest.mark.parametrize("answer", [{}, {"CgroupVersion": "", "Runtimes": None, "SecurityOptions": None}])
def test_an_engine_that_says_little_has_little(answer: dict[str, object]) -> None:
    has = abilities.parse(answer)
    assert (has.cgroups, has.has_seccomp, has.runtimes) == (1, False, ())


@pytest.mark.parametrize(("machine", "is_filtered"), [("x86_64", True), ("aarch64", True), ("riscv64", False)])
def test_the_filter_is_for_processors_whose_calls_it_knows(machine: str, is_filtered: bool) -> None:
    options = confinement.fields(abilities.Abilities(machine=machine, has_seccomp=True), 1)["SecurityOpt"]
    assert options[0] == "no-new-privileges"
    assert any(option.startswith("seccomp=") for option in options) is is_filtered
    assert confinement.fields(abilities.Abilities(machine=machine), 1)["SecurityOpt"] == ["no-new-privileges"]


def test_on_a_host_that_has_it_all_every_promise_holds_and_else_each_gap_is_named() -> None:
    has = abilities.parse(HERE)
    assert promises.gaps(has, is_root=True) == []
    poor = abilities.parse({"SecurityOptions": ["name=rootless"]})
    told = " ".join(gap.text for gap in promises.gaps(poor, is_root=False))
    for what in ("not filtered", "locks", "not frozen", "sockets", "processors"):
        assert what in told
    assert "the platform does not run as root" in promises.gaps(has, is_root=False)[0].text
    mapped = abilities.parse({**HERE, "SecurityOptions": ["name=seccomp", "name=userns"]})
    (gap,) = promises.gaps(mapped, is_root=True)
    assert "inotify instances of all others" in gap.text
    for runtime, default in (("runsc", "runc"), ("", "runsc")):
        (gap,) = promises.gaps(abilities.parse({**HERE, "DefaultRuntime": default}), is_root=True, runtime=runtime)
        assert gap.text == "calls are answered by the kernel that runsc brings: our filter is not used"
    assert [gap.text for gap in promises.gaps(abilities.parse({**HERE, "Architecture": "s390x"}), is_root=True)] == [
        "the filter of calls is the engine's own: ours does not know s390x"
    ]


def test_an_engine_that_speaks_dockers_api_is_told_from_docker() -> None:
    has = abilities.parse({**HERE, "BuildahVersion": "1.28.2"})
    assert has.maker == "Podman"
    assert promises.described(has, "").startswith("Podman 28.2.2 answers")


def test_podman_reads_the_filter_from_a_file_and_has_its_own_way_to_mask(tmp_path: Path) -> None:
    has = abilities.parse({**HERE, "BuildahVersion": "1.28.2"})
    file = confinement.filter_file(has, tmp_path)
    assert Path(file).read_text() == confinement.filter_text()
    options = confinement.fields(has, 1, file)["SecurityOpt"]
    assert options[:2] == ["no-new-privileges", f"seccomp={file}"]
    assert "/dev/pts/ptmx" in options[2].removeprefix("mask=").split(":")
    assert confinement.filter_file(abilities.parse(HERE), tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("answer", "first", "on_host"),
    [
        ({}, None, 7),
        ({"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker/165536.165536"}, 165536, 165543),
        ({"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker"}, None, None),
        ({"SecurityOptions": ["name=userns"], "DockerRootDir": "/srv/1.2"}, None, None),
        ({"SecurityOptions": ["name=rootless"], "DockerRootDir": "/home/a/165536.165536"}, None, None),
    ],
)
def test_where_users_are_mapped_to_is_read_from_the_engines_folder(
    answer: dict[str, object], first: int | None, on_host: int | None
) -> None:
    has = abilities.parse({**HERE, **answer})
    assert (has.first_user, has.on_host(7)) == (first, on_host)


def test_a_build_runs_as_nobody_else_or_as_the_platforms_user() -> None:
    def user(options: list[str], uid: int, root: str = "/d/1000.1000") -> building.BuildUser:
        has = abilities.parse({"SecurityOptions": options, "DockerRootDir": root})
        return building.user_for(has, uid, uid)

    assert user([], 0) == building.BuildUser((1_900_000_001,) * 2, (1_900_000_001,) * 2)
    assert user(["name=userns"], 0) == building.BuildUser((60_001,) * 2, (61_001,) * 2)
    assert user([], 1000) == building.BuildUser((1000, 1000), (1000, 1000))
    assert user(["name=rootless"], 1000) == building.BuildUser((0, 0), (1000, 1000))
    assert 60_001 not in uids.parse(uids.REMAPPED)
    with pytest.raises(base.EngineUnavailable, match="does not say to which"):
        user(["name=userns"], 0, "/var/lib/docker")


def test_an_engine_is_described_in_one_line() -> None:
    assert promises.described(abilities.parse(HERE), "runsc") == (
        "Docker 28.2.2 answers, runtime runsc (of io.containerd.runc.v2, runc, runsc), cgroup v2, seccomp,"
        " no user namespaces"
    )
