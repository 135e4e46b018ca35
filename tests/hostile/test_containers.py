"""What a hostile function tries from inside a real container of the real platform, and that it fails.

`docs/explanation/security.md` names these tests, row by row.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import platform as platforms
from tests.eventually import eventually_sync

pytestmark = pytest.mark.docker

FUNCTIONS = Path(__file__).parent / "functions"
SECRETS = [f"victims-secret-in-{where}" for where in ("code", "env", "event", "log", "tmp", "object")]
OWN_MOUNTS = {"/var/runtime", "/var/faas", "/var/task"}


def _function(handler: str, **config: Any) -> dict[str, Any]:
    route = {"http": {"path": f"/by-name/{handler}/{secrets.token_hex(4)}", "methods": ["PUT"]}}
    given = {"runtime": "python3", "source": "code", "handler": f"app.{handler}", "memory": "128MB", "timeout": "60s"}
    return {**given, "triggers": [route], **config}


MANIFEST = {
    "buckets": {"vault": {}, "own": {}},
    "functions": {
        "victim": _function("victim", source="victim", env={"SECRET": SECRETS[1]}, buckets={"vault": "read"}),
        "attacker": _function("attacker", buckets={"own": "write"}),
        "outbound": _function("attacker", network="outbound"),
        "brief": _function("attacker", timeout="2s"),
        "large": _function("attacker", memory="1GB"),
    },
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[platforms.Platform]:
    """One platform for all tests of this module, with a victim that is warm and full of secrets."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(FUNCTIONS, project / "victim")
    (project / "code").mkdir()
    code = (FUNCTIONS / "app.py").read_text()
    (project / "code" / "app.py").write_text(code.replace("victims-secret", "no-secret"))
    data = tmp_path_factory.mktemp("data")
    data.chmod(0o755)  # as a folder that somebody has made beforehand
    with platforms.running(data, "--engine", "docker", tmp_mb="64") as made:
        made.deploy(project, MANIFEST)
        vault = made.data / "buckets" / "vault"
        vault.mkdir(parents=True, exist_ok=True)
        (vault / "object").write_text(SECRETS[5])
        assert made.json("invoke", "victim", "--data", json.dumps(SECRETS[2]))["result"] == SECRETS[0]
        yield made
        eventually_sync(made.conserved, within=60)


def told(platform: platforms.Platform, function: str, what: str, **event: Any) -> dict[str, Any]:
    """What the command line says of one attempt of a hostile function."""
    done = platform.faas("invoke", function, "--data", json.dumps({"try": what, **event}), "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def tried(platform: platforms.Platform, function: str, what: str, **event: Any) -> Any:
    """The result of a try that comes back."""
    answer = told(platform, function, what, **event)
    assert answer["status"] == "ok", answer
    return answer["result"]


def victim_answers(platform: platforms.Platform) -> bool:
    """Whether the other function works as ever."""
    return bool(platform.json("invoke", "victim")["result"] == SECRETS[0])


# -- other functions and their data


@pytest.mark.parametrize("function", ["attacker", "outbound"])
def test_nothing_of_another_function_is_in_any_file_that_a_function_can_read(
    platform: platforms.Platform, function: str
) -> None:
    for secret in SECRETS:
        assert tried(platform, function, "searches", reversed=secret[::-1]) == [], secret


def test_the_search_would_find_a_secret_that_is_there(platform: platforms.Platform) -> None:
    assert tried(platform, "attacker", "searches", reversed="rekcatta") != []


def test_an_undeclared_bucket_and_a_way_out_of_a_bucket_are_refused(platform: platforms.Platform) -> None:
    out = ["../vault/object", "/etc/passwd", "a/../../vault/object", "a/./b"]
    wanted = [["vault", "object"], ["../vault", "object"], ["", "object"], *(["own", key] for key in out)]
    answers = tried(platform, "attacker", "asks_undeclared", wanted=wanted)
    assert len(answers) == len(wanted)
    assert all("Denied" in answer or "BadKey" in answer for answer in answers), answers


def test_links_and_devices_in_a_bucket_lead_nowhere(platform: platforms.Platform) -> None:
    own = platform.data / "buckets" / "own"
    own.mkdir(parents=True, exist_ok=True)
    (own / "link").symlink_to(platform.data / "token")
    (own / "folder").symlink_to(platform.data)
    os.mkfifo(own / "pipe")
    wanted = [["own", key] for key in ("link", "folder/token", "folder", "pipe")]
    answers = tried(platform, "attacker", "asks_undeclared", wanted=wanted)
    assert all("NotFound" in answer for answer in answers), answers


def test_an_object_does_not_change_after_it_was_published(platform: platforms.Platform) -> None:
    assert tried(platform, "attacker", "rewrites") == "published"
    assert (platform.data / "buckets" / "own" / "rewritten").read_text() == "published"


def test_a_function_sees_only_its_own_surroundings(platform: platforms.Platform) -> None:
    seen = tried(platform, "attacker", "surroundings")
    assert seen["sockets"] == []
    assert all("/var/runtime" in line for line in seen["processes"]), seen["processes"]
    kinds = {re.sub(r"[:\[(].*|/proc/.*", "", target) for target in seen["descriptors"]}
    assert kinds <= {"socket", "pipe", "/dev/null", "anon_inode", "", "gone"}, seen["descriptors"]
    assert not [name for name in seen["environment"] if name.startswith(("FAAS_", "DOCKER", "REDIS"))]
    assert seen["writable"] == ["/dev/mqueue", "/dev/shm", "/tmp"]


def test_the_only_folders_of_the_host_in_a_container_are_agent_socket_and_code(platform: platforms.Platform) -> None:
    mounts = tried(platform, "attacker", "surroundings")["mounts"]
    of_host = {point for point, source in mounts.items() if source.startswith(str(platform.data))}
    dockers = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    of_kernel = ("/proc", "/sys", "/dev")
    others = {p for p in mounts if p not in ("/", "/tmp") and not p.startswith(of_kernel)} - dockers
    assert others == OWN_MOUNTS
    assert of_host <= OWN_MOUNTS


# -- the platform and the host


def _tcp(platform: platforms.Platform) -> list[int]:
    return [int(platform.facts[name].rpartition(":")[2]) for name in ("gateway", "api")]


def _unix(platform: platforms.Platform) -> list[str]:
    found = [str(path) for path in platform.data.rglob("*") if path.is_socket()]
    assert found, "Redis listens on a socket in the data directory"
    return [*found, "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"]


def _bridge() -> str:
    client = subprocess.run(
        ["docker", "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return client.stdout.strip() or "172.17.0.1"


@pytest.mark.parametrize("function", ["attacker", "outbound"])
def test_redis_docker_the_control_api_and_the_gateway_do_not_answer(
    platform: platforms.Platform, function: str
) -> None:
    hosts = ["127.0.0.1", _bridge(), socket.gethostbyname(socket.gethostname())]
    ports = [*_tcp(platform), 6379, 2375, 2376]
    ours = [[host, port] for host in {*hosts} for port in ports]
    assert tried(platform, function, "connects", addresses=[*ours, *_unix(platform)]) == []


def test_without_network_a_listener_on_every_address_of_the_host_is_out_of_reach_and_with_outbound_it_is_not(
    platform: platforms.Platform,
) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        addresses = [[_bridge(), listener.getsockname()[1]]]
        assert tried(platform, "attacker", "connects", addresses=addresses) == []
        assert tried(platform, "outbound", "connects", addresses=addresses) == addresses


def test_files_of_the_host_are_not_there(platform: platforms.Platform) -> None:
    names = ("token", "platform.json", "ledger.db", "sandboxes")
    paths = [str(platform.data / name) for name in names] + ["/etc/shadow", "/root/.bashrc", __file__]
    paths += [f"/proc/{pid}/environ" for pid in platform.processes().values()]
    assert tried(platform, "attacker", "reads", paths=paths) == []


# -- rights


@pytest.mark.parametrize("function", ["attacker", "outbound"])
def test_no_way_to_more_rights_works(platform: platforms.Platform, function: str) -> None:
    assert tried(platform, function, "gains") == []


# -- using up, and outliving


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_what_a_function_can_fill_is_its_own_and_bounded(platform: platforms.Platform, folder: str) -> None:
    error, written = tried(platform, "large", "fills", folder=folder)
    assert (error, written) == ("ENOSPC", 64 << 20)


def test_what_is_written_to_tmp_counts_as_the_functions_memory(platform: platforms.Platform) -> None:
    answers = [told(platform, "attacker", "fills", folder=folder) for folder in ("/tmp", "/dev/shm")]
    assert all(answer["status"] in ("ok", "oom") for answer in answers), answers
    assert victim_answers(platform)


def test_nothing_outlives_a_timeout(platform: platforms.Platform) -> None:
    mark = f"outlives-{secrets.token_hex(8)}"
    assert told(platform, "brief", "outlives", mark=mark)["status"] == "timeout"
    eventually_sync(lambda: not _processes_naming(mark), within=60)
    assert victim_answers(platform)


def _processes_naming(text: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in command and b"app.py" not in command and b"faas" not in command:
            found.append(process.name)
    return found


# -- the socket to the runner

WAYS = {
    "sends half a frame": "timeout",
    "sends descriptors": "timeout",
    "floods and never reads": "timeout",
    "answers another": "error",
    "sends the largest body": "error",  # last: its handler runs on, and the function's next attempt pays for that
}


def test_whatever_a_function_says_on_its_socket_costs_its_own_attempt_and_the_node_nothing(
    platform: platforms.Platform,
) -> None:
    other = platform.json("invoke", "victim")["invocation_id"]
    for how, status in WAYS.items():  # once, so that what is made once is made
        assert told(platform, "brief", "speaks", how=how, other=other)["status"] == status, how
    before = eventually_sync(lambda: _settled(platform), within=60)
    for how, status in WAYS.items():
        assert told(platform, "brief", "speaks", how=how, other=other)["status"] == status, how
        assert victim_answers(platform), how
    after = eventually_sync(lambda: _settled(platform), within=60)
    assert after["descriptors"] <= before["descriptors"] + 12, (before, after)  # a sandbox more has three or four
    assert after["memory_mb"] <= before["memory_mb"] + 40, (before, after)


def _settled(platform: platforms.Platform) -> dict[str, int]:
    assert platform.conserved()
    (node,) = [pid for name, pid in platform.processes().items() if name.startswith("node")]
    status = Path(f"/proc/{node}/status").read_text()
    memory = re.search(r"VmRSS:\s+(\d+)", status)
    assert memory is not None
    return {"descriptors": len(os.listdir(f"/proc/{node}/fd")), "memory_mb": int(memory[1]) // 1024}


# -- secrets in the data directory


def test_no_secret_in_the_data_directory_can_be_read_by_other_users(platform: platforms.Platform) -> None:
    assert platform.data.stat().st_mode & 0o077 == 0, "it was open, and is closed at the start"
    open_to_others = sorted({path.relative_to(platform.data).parts[0] for path in _readable(platform.data)})
    assert open_to_others == ["buckets"], "what is in it holds by itself; objects alone are shared, as their folder is"
    assert not [path for path in _readable(platform.data) if path.stat().st_mode & 0o002]


def _readable(folder: Path) -> list[Path]:
    """The files below a folder that users who are neither its owner nor of its group can read."""
    found: list[Path] = []
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & 0o001:
            found += _readable(path)
        elif stat.S_ISREG(mode) and mode & 0o004 and path.lstat().st_size:
            found.append(path)
    return found


def test_the_environment_of_a_function_is_not_in_logs_nor_in_what_the_gateway_answers(
    platform: platforms.Platform,
) -> None:
    assert SECRETS[1] not in platform.logs()
    assert SECRETS[1] not in platform.faas("logs", "victim").stdout
    assert SECRETS[1].encode() not in platform.call("/fn/victim", b"{}").body
