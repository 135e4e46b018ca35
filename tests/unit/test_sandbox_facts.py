"""What is read from the host: cgroups of both versions, apt's sources; and what an exit means."""

from __future__ import annotations

from pathlib import Path

import pytest

from faas.core import model
from runners.engines import folder, sweeping
from runners.engines.docker import apt_sources, cgroups
from runners.sandbox import verdicts

V1 = "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n"
V2 = "0::/system.slice/docker-abc.scope\n"


@pytest.mark.parametrize(
    ("text", "group", "file", "content"),
    [
        (V1, "memory/docker/abc", "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        (V2, "system.slice/docker-abc.scope", "memory.events", "low 0\nmax 7\noom 3\noom_kill 2\n"),
    ],
)
def test_kills_for_want_of_memory_are_read_from_either_version(
    tmp_path: Path, text: str, group: str, file: str, content: str
) -> None:
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "cgroup").write_text(text)
    (tmp_path / "sys" / group).mkdir(parents=True)
    (tmp_path / "sys" / group / file).write_text(content)
    found = cgroups.group(7, "memory", tmp_path / "proc", tmp_path / "sys")
    assert found == tmp_path / "sys" / group
    assert cgroups.oom_kills(found) == 2


def test_a_group_that_has_gone_has_no_figure(tmp_path: Path) -> None:
    assert cgroups.group(7, "memory", tmp_path, tmp_path) is None
    assert cgroups.oom_kills(tmp_path) is None


def test_sources_of_the_release_are_found_in_both_styles_and_others_left_out(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(
        "# deb http://no/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k] http://one/debian bookworm main contrib # why\n"
        "deb-src http://one/debian bookworm main\ndeb http://one/debian trixie main\n"
    )
    (parts / "debian.sources").write_text(
        "Types: deb deb-src\n# a comment\nURIs: http://two/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\n non-free\n\n"
        "Types: deb\nEnabled: no\nURIs: http://off/debian\nSuites: bookworm\nComponents: main\n"
    )
    (parts / "other.list").write_text("deb https://third/apt stable main\n")
    assert apt_sources.lines_for("bookworm", tmp_path) == [
        "deb http://one/debian bookworm main contrib",
        "deb http://two/debian bookworm main non-free",
        "deb http://two/debian bookworm-updates main non-free",
    ]


@pytest.mark.parametrize(
    ("status", "oom", "expected"),
    [
        (137, True, verdicts.OutOfMemory()),
        (137, False, verdicts.Exited(137)),
        (1, True, verdicts.Exited(1)),
        (None, True, verdicts.Exited(None)),
    ],
)
def test_only_a_killed_process_ran_out_of_memory(status: int | None, oom: bool, expected: verdicts.Death) -> None:
    assert verdicts.death(status, oom) == expected


@pytest.mark.parametrize(
    ("status", "text"), [(3, "exit status 3"), (139, "signal: segmentation fault"), (255, "exit status 255")]
)
def test_an_exit_is_said_in_words(status: int, text: str) -> None:
    ending = verdicts.of_death(verdicts.Exited(status), "RequestId: i ", 128)
    assert ending.status is model.Status.ERROR
    assert ending.error.message == f"RequestId: i Error: Runtime exited with error: {text}"


def test_code_is_shown_as_links_to_the_artifact(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "deep" / "er").mkdir(parents=True)
    (code / ".dot").write_text("1")
    (code / "deep" / "er" / "a.py").write_text("2")
    (code / "link").symlink_to("deep")
    own = folder.Folder(tmp_path / "sandbox")
    own.make()
    own.place(code)
    assert (own.task / "deep" / "er" / "a.py").samefile(code / "deep" / "er" / "a.py")
    assert (own.task / ".dot").read_text() == "1"
    assert (own.task / "link").readlink() == Path("deep")
    own.remove()
    own.remove()
    assert (code / ".dot").exists() and not own.path.exists()


def test_a_sandbox_is_left_behind_when_its_runner_has_let_go_of_it_or_has_gone(tmp_path: Path) -> None:
    one, other = folder.SandboxFolders(tmp_path), folder.SandboxFolders(tmp_path)
    held, dropped = one.next_id(), one.next_id()
    for sandbox in (held, dropped):
        one.folder(sandbox).make()
    assert one.left_behind() == other.left_behind() == [] and not other.dead()
    one.let_go(dropped)
    assert (one.left_behind(), other.left_behind()) == ([dropped], [])
    one.close()
    assert other.left_behind() == [held, dropped]
    assert other.dead().keys() == folder.dead_runners(tmp_path) == {one.runner}
    other.close()


def test_a_dead_runner_is_forgotten_when_it_has_been_dead_for_a_while_and_nothing_of_it_is_stuck(
    tmp_path: Path,
) -> None:
    mine = folder.SandboxFolders(tmp_path)
    (tmp_path / "0123456789ab.lock").touch()
    late = "0123456789ab-7"  # a container that the engine had not made yet at the first look
    assert sweeping.sweep(mine, tuple, lambda _: True, settle_s=60) == 0
    assert mine.dead().keys() == {"0123456789ab"}
    assert sweeping.sweep(mine, lambda: [late], lambda _: False, settle_s=0) == 0
    assert mine.dead().keys() == {"0123456789ab"}
    assert sweeping.sweep(mine, lambda: [late], lambda _: True, settle_s=0) == 1
    assert not mine.dead()
    mine.close()


LIMITS = cgroups.Allowance(memory_bytes=256 << 20, quota_us=50_000, period_us=100_000, shares=512)


@pytest.mark.parametrize(("before", "order"), [(128 << 20, ["memsw", "alone"]), (512 << 20, ["alone", "memsw"])])
def test_limits_of_version_1_are_set_in_the_order_that_the_kernel_takes(
    tmp_path: Path, before: int, order: list[str]
) -> None:
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        (tmp_path / name).write_text(f"{before}\n")
    names = {"alone": "memory.limit_in_bytes", "memsw": "memory.memsw.limit_in_bytes"}
    assert cgroups.limit(tmp_path, tmp_path, LIMITS) is cgroups.Limited.YES
    held = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert held == {
        "memory.limit_in_bytes": str(256 << 20),
        "memory.memsw.limit_in_bytes": str(256 << 20),
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "50000",
        "cpu.shares": "512",
    }
    written = sorted(names, key=lambda name: (tmp_path / names[name]).stat().st_mtime_ns)
    assert written == order


def test_limits_of_version_2(tmp_path: Path) -> None:
    for name in ("memory.max", "cpu.max"):
        (tmp_path / name).write_text("max\n")
    assert cgroups.limit(tmp_path, tmp_path, LIMITS) is cgroups.Limited.YES
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "memory.max": str(256 << 20),
        "memory.swap.max": "4096",
        "cpu.max": "50000 100000",
    }


def test_limits_that_cannot_be_written_are_left_to_the_engine(tmp_path: Path) -> None:
    assert cgroups.limit(None, tmp_path, LIMITS) is cgroups.Limited.UNKNOWN
    assert cgroups.limit(tmp_path / "none", tmp_path, LIMITS) is cgroups.Limited.UNKNOWN
