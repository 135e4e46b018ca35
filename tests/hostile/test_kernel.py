"""What hostile functions try by what the kernel shares among containers, in real containers, and that they fail.

`docs/explanation/security.md` names these tests, row by row.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from runners.engines import uids
from runners.engines.docker import abilities, cgroups, confinement, daemon, freezing, socket_memory
from runners.sandbox import hosted
from tests import control_groups
from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

FUNCTIONS = Path(__file__).parent / "kernel_functions"
MIB = 1 << 20


def _function(handler: str = "attacker", path: str = "", **config: Any) -> dict[str, Any]:
    triggers = [{"http": {"path": path, "methods": ["GET"]}}] if path else []
    given = {"runtime": "python3", "source": "code", "handler": f"app.{handler}", "memory": "256MB", "timeout": "60s"}
    return {**given, "triggers": triggers, "max_concurrency": 1, **config}


MANIFEST = {
    "functions": {
        "first": _function(),
        "second": _function(),
        "greedy": _function(),
        "liar": _function("liar"),
        "header": _function("header", "/header"),
        "idle": _function(),
        "background": _function(background=True),
    },
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    """One platform for all tests of this module."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(FUNCTIONS, project / "code")
    with platforms.running(tmp_path_factory.mktemp("data"), "--engine", "docker") as made:
        made.deploy(project, MANIFEST)
        yield made
        eventually_sync(made.conserved, within=60)


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    """The engine."""
    made = daemon.connect()
    yield made
    made.close()


def told(platform: platforms.Platform, function: str, what: str, **event: Any) -> dict[str, Any]:
    """What the command line says of one attempt."""
    done = platform.faas("invoke", function, "--data", json.dumps({"try": what, **event}), "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def tried(platform: platforms.Platform, function: str, what: str, **event: Any) -> Any:
    """The result of a try that comes back."""
    answer = told(platform, function, what, **event)
    assert answer["status"] == "ok", answer
    return answer["result"]


def group(platform: platforms.Platform, client: docker.APIClient, answer: dict[str, Any], controller: str) -> Path:
    """The control group of the sandbox that an attempt ran in."""
    sandbox = platform.record(answer["invocation_id"])["sandbox"]
    pid = client.inspect_container(f"faas-{sandbox}")["State"]["Pid"]
    found = cgroups.group(pid, controller)
    assert found is not None
    return found


# -- limits that the kernel has for each user


def test_each_sandbox_is_a_user_of_its_own_in_a_range_that_nobody_has(
    platform: platforms.Platform, client: docker.APIClient
) -> None:
    seen = [tried(platform, name, "who") for name in ("first", "second", "greedy")]
    users = {each["user"] for each in seen}
    assert len(users) == len(seen)
    assert all(each["user"] == each["group"] and each["groups"] in ([], [each["user"]]) for each in seen)
    given = uids.given("", remaps_users=abilities.ask(client).remaps_users)
    assert all(user in given for user in users)
    label = f"faas.data_dir={(platform.data / 'sandboxes' / 'id').read_text().strip()}"
    running = client.containers(filters={"label": label})
    all_users = {client.inspect_container(each["Id"])["Config"]["User"] for each in running}
    assert len(all_users) == len(running) > len(seen), "prewarmed ones have theirs from the start"


@pytest.mark.parametrize(
    "kind", ["descriptors on their way", "inotify instances", "pending signals", "message queues", "large pipes"]
)
def test_what_one_function_uses_up_of_a_users_limits_the_others_still_have(
    platform: platforms.Platform, kind: str
) -> None:
    taken, end = tried(platform, "greedy", "uses_up", kind=kind)
    assert taken > 0, end
    assert set(tried(platform, "second", "has").values()) == {"yes"}


# -- files that two sandboxes both see


def test_two_functions_of_one_source_cannot_talk_by_locks(platform: platforms.Platform) -> None:
    assert tried(platform, "first", "locks_all") > 20
    assert tried(platform, "second", "finds_locks") == []


def test_two_functions_of_one_source_cannot_talk_by_watching_what_the_other_reads(
    platform: platforms.Platform,
) -> None:
    assert tried(platform, "second", "watches") > 20
    tried(platform, "second", "reads_all")
    assert tried(platform, "second", "saw") != [], "it sees what it reads itself"
    tried(platform, "first", "reads_all")
    assert tried(platform, "second", "saw") == []


# -- memory that no limit counts


@pytest.mark.parametrize("kind", ["tcp", "udp", "unix", "sysv"])
def test_what_lies_in_sockets_and_queues_is_counted(
    platform: platforms.Platform, client: docker.APIClient, kind: str
) -> None:
    answer = told(platform, "greedy", "fills_sockets", kind=kind, mib=600)
    # Version 2 counts all of it as the function's memory.
    is_apart = abilities.ask(client).cgroups == 1 and kind in ("tcp", "udp")
    most = socket_memory.MOST_BYTES // MIB if is_apart else 256
    assert answer["status"] == "oom" or answer["result"] <= most, answer
    if not is_apart and answer["status"] == "ok":
        held = control_groups.held_bytes(group(platform, client, answer, "memory"))
        assert held >= answer["result"] * MIB


def test_what_each_socket_may_hold_uncounted_is_bounded_by_how_many_there_may_be(
    platform: platforms.Platform,
) -> None:
    answer = told(platform, "greedy", "fills_by_many", kind="corked", mib=600, processes=16)
    assert answer["status"] == "oom", answer


# -- calls of the kernel

DENIED = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "io_setup": 206, "io_submit": 209, "io_getevents": 208, "io_pgetevents": 333,
    "add_key": 248, "request_key": 249, "keyctl": 250,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "memfd_secret": 447,
    "unshare": 272, "setns": 308, "clone3": 435,
    "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "move_mount": 429, "open_tree": 428,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "pidfd_getfd": 438, "kcmp": 312,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300, "fanotify_mark": 301,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320,
    "acct": 163, "swapon": 167, "swapoff": 168, "quotactl": 179, "quotactl_fd": 443, "reboot": 169, "syslog": 103,
    "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "vhangup": 153,
    "mbind": 237, "set_mempolicy": 238, "get_mempolicy": 239, "migrate_pages": 256, "move_pages": 279,
    "sync": 162, "syncfs": 306, "cachestat": 451, "uselib": 134, "ustat": 136, "sysfs": 139, "_sysctl": 156,
    "lookup_dcookie": 212, "nfsservctl": 180, "modify_ldt": 154, "remap_file_pages": 216,
}  # fmt: skip


def test_each_call_that_is_left_out_fails_by_the_filter(platform: platforms.Platform) -> None:
    errors = tried(platform, "first", "calls", numbers=DENIED)
    missing = {name for name in DENIED if name.startswith(("io_uring", "clone3"))}
    assert errors == {name: "ENOSYS" if name in missing else "EPERM" for name in DENIED}


def test_no_call_that_is_denied_is_in_the_filter() -> None:
    rules = json.loads(confinement.filter_text())["syscalls"]
    allowed = {name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert not allowed & DENIED.keys()


def test_no_sockets_but_unix_tcp_udp_and_routes_can_be_made(platform: platforms.Platform) -> None:
    assert tried(platform, "first", "opens_sockets") == []


@pytest.mark.parametrize("how", ["calls_as_32_bit", "calls_as_x32"])
def test_the_calls_of_other_kinds_of_programs_are_no_way_around_the_filter(
    platform: platforms.Platform, how: str
) -> None:
    assert tried(platform, "first", how) in ("signal 31", "exit 3")


def test_nobody_uses_up_the_terminals_of_the_machine(platform: platforms.Platform) -> None:
    assert tried(platform, "first", "opens_terminals") != "one"


def test_ordinary_programs_have_what_they_need(platform: platforms.Platform) -> None:
    assert tried(platform, "second", "is_whole") == [45, "6", ["lo"], "sandbox"]


# -- what a function says of itself, and works when nobody pays


@pytest.mark.parametrize(("mem_kb", "us"), [(0xFFFFFFFF, 1 << 53), (257 * 1024, 10**12)])
def test_a_function_has_not_used_more_than_it_may(platform: platforms.Platform, mem_kb: int, us: int) -> None:
    answer = told(platform, "liar", "", mem_kb=mem_kb, us=us)
    record = platform.record(answer["invocation_id"])
    assert record["memory_mb"] == 256
    assert record["duration_ms"] <= record["ended_at_ms"] - record["started_at_ms"] + 1


def test_the_platforms_header_fields_are_its_own(platform: platforms.Platform) -> None:
    answer = platform.call("/header")
    assert "forged" not in {value for name, value in answer.headers.items() if name != "x-mine"}
    assert answer.headers["x-mine"] == "forged"
    assert platform.record(answer.headers["faas-invocation-id"])["function"] == "header"


@pytest.mark.parametrize("by", ["thread", "process"])
def test_nothing_works_on_between_attempts(platform: platforms.Platform, client: docker.APIClient, by: str) -> None:
    answer = told(platform, "idle", "works_on", by=by)
    switch = freezing.switch(group(platform, client, answer, "freezer"))
    eventually_sync(lambda: switch.file.read_bytes().strip() in (b"FROZEN", b"1"), within=10)
    own = group(platform, client, answer, "cpuacct")
    before = control_groups.spent_us(own)
    assert tried(platform, "second", "who")
    assert control_groups.spent_us(own) == before
    assert tried(platform, "idle", "counted") > 0, "it goes on where it was"


def test_a_function_that_asks_for_it_works_on_and_pays(platform: platforms.Platform, client: docker.APIClient) -> None:
    answer = told(platform, "background", "works_on", by="thread")
    own = group(platform, client, answer, "cpuacct")
    begun = control_groups.spent_us(own)
    eventually_sync(lambda: control_groups.spent_us(own) > begun + 200_000, within=30)
    again = platform.record(told(platform, "background", "counted")["invocation_id"])
    first = platform.record(answer["invocation_id"])
    between_ms = again["started_at_ms"] - first["ended_at_ms"]
    assert abs(again["billed_ms"] - between_ms - again["duration_ms"]) <= 2


def test_calls_that_come_when_a_sandbox_is_being_frozen_are_answered(platform: platforms.Platform) -> None:
    """Gaps around the time after which it is frozen, by several callers."""
    wrong: list[int] = []

    def calls() -> None:
        for _ in range(40):
            status = platform.call("/header").status
            if status != 200:
                wrong.append(status)
            threading.Event().wait(hosted.REST_AFTER_S)

    callers = [threading.Thread(target=calls) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []
