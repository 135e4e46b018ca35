"""What is read of an engine's answer, and which runtimes are refused."""

from __future__ import annotations

import pytest

from runners.sandbox import abilities, base, confinement, promises

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


def test_a_runtime_that_the_engine_does_not_have_is_refused_by_name() -> None:
    has = abilities.parse(HERE)
    for name in ("", "runsc"):
        abilities.check_runtime(name, has)
    with pytest.raises(base.EngineUnavailable, match="'kata', which this engine does not have") as caught:
        abilities.check_runtime("kata", has)
    assert "runsc" in caught.value.hint


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
    assert [gap.text for gap in promises.gaps(abilities.parse({**HERE, "Architecture": "s390x"}), is_root=True)] == [
        "the filter of calls is the engine's own: ours does not know s390x"
    ]


def test_an_engine_is_described_in_one_line() -> None:
    assert promises.described(abilities.parse(HERE), "runsc") == (
        "engine 28.2.2 answers, runtime runsc (of io.containerd.runc.v2, runc, runsc), cgroup v2, seccomp,"
        " no user namespaces"
    )
