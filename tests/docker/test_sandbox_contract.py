"""One contract for every engine of sandboxes: what the port promises, whatever the function does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faas import artifacts, buckets
from faas.buckets.folder import bucket as folders
from faas.buckets.folder import stamps
from faas.cli import languages
from faas.core import errors, ids, model, settings
from runners.engines import choose, uids
from runners.engines.docker import abilities, cgroups, containers, daemon
from runners.sandbox import base
from tests import attempts, control_groups
from tests.eventually import eventually, eventually_sync
from tests.far import engine as far

HERE = Path(__file__).parent
CODE = HERE / "sandbox_functions"
HERE_ONLY = ["process", pytest.param("docker", marks=pytest.mark.docker)]
ENGINES = [*HERE_ONLY, "far"]
DOCKER_ONLY = [pytest.param("docker", marks=pytest.mark.docker)]
only_docker = pytest.mark.parametrize("kind", DOCKER_ONLY, indirect=True)
only_here = pytest.mark.parametrize("kind", HERE_ONLY, indirect=True)
MIB = 1 << 20


class Bench:
    """An engine with a data directory and buckets of its own, and what was started on it."""

    def __init__(self, engine: base.Engine, limits: settings.Settings) -> None:
        self.engine = engine
        self.limits = limits
        self.started: list[base.Sandbox] = []

    async def start(self, spec: base.Spec | None = None) -> base.Sandbox:
        sandbox = await self.engine.start(spec or base.Spec(runtime="python3"))
        self.started.append(sandbox)
        return sandbox

    async def load(self, handler: str, **config: Any) -> tuple[base.Sandbox, base.Loaded]:
        sandbox = await self.start()
        return sandbox, await sandbox.load(self.revision(handler, **config))

    async def loaded(self, handler: str, **config: Any) -> base.Sandbox:
        sandbox, loaded = await self.load(handler, **config)
        assert loaded.error is None, loaded
        return sandbox

    async def run(self, handler: str, event: object = None, **config: Any) -> base.Ran:
        return await attempts.begun(await self.loaded(handler, **config), invocation(event))

    def revision(self, handler: str, **config: Any) -> model.Revision:
        digest, _ = artifacts.Artifacts(self.limits.data.root).pack(CODE)
        made = model.FunctionConfig(**{"runtime": "python3", "handler": handler, "timeout_ms": 20_000, **config})
        return model.Revision(function="contract", number=1, artifact=digest, config=made, created_at_ms=0)


def invocation(event: object = None) -> model.Invocation:
    return model.Invocation(
        id=ids.new_id(),
        function="contract",
        revision=1,
        trigger="invoke",
        mode=model.Mode.SYNC,
        event=msgspec.json.encode(event),
        accepted_at_ms=1_700_000_000_000,
    )


def bucket_finder(root: Path) -> Callable[[str], buckets.Bucket | None]:
    found = {name: folders.BucketFolder(name, root / name) for name in ("photos", "thumbs", "private")}
    return found.get


@pytest.fixture(params=ENGINES)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def init_timeout_ms() -> int:
    """Long enough for a machine that is emulated."""
    return 20_000


@pytest.fixture
def limits(kind: str, tmp_path: Path, init_timeout_ms: int) -> settings.Settings:
    return settings.of(
        data_dir=str(tmp_path / "data"),
        engine="auto" if kind == "far" else kind,
        tmp_mb=32,
        max_file_mb=16,
        max_pids=64,
        init_timeout_ms=init_timeout_ms,
    )


@pytest.fixture
async def bench(kind: str, limits: settings.Settings, tmp_path: Path) -> AsyncIterator[Bench]:
    known = languages.known(limits.sandboxes.base_image)
    if kind == "far":
        engine: base.Engine = far.FarEngine(limits, bucket_finder(tmp_path), known, hidden=[tmp_path])
    else:
        engine = await choose.choose(limits.data.root, limits.sandboxes, bucket_finder(tmp_path), known)
    made = Bench(engine, limits)
    yield made
    for sandbox in made.started:
        await sandbox.close()
    await made.engine.close()


async def test_a_sandbox_runs_the_handler_again_and_again_in_one_process(bench: Bench) -> None:
    sandbox = await bench.loaded("app.count")
    outcomes = [await attempts.begun(sandbox, invocation()) for _ in range(3)]
    assert [outcome.body for outcome in outcomes] == [b"1", b"2", b"3"]
    assert all(outcome.status is model.Status.OK and outcome.reusable for outcome in outcomes)
    assert all(0 <= outcome.duration_us < 20_000_000 and outcome.memory_peak_mb > 0 for outcome in outcomes)


async def test_who_is_told_of_an_outcome_may_start_the_next_attempt_at_once(bench: Bench) -> None:
    sandbox = await bench.loaded("app.count")
    bodies: list[bytes] = []
    done = asyncio.Event()

    def then(outcome: base.Ran | base.SandboxLost) -> None:
        assert isinstance(outcome, base.Ran)
        bodies.append(outcome.body)
        if len(bodies) < 50:
            sandbox.run(invocation(), then)
        else:
            done.set()

    sandbox.run(invocation(), then)
    assert not bodies
    await asyncio.wait_for(done.wait(), 30)
    assert bodies == [str(number).encode() for number in range(1, 51)]


@only_here
async def test_processor_time_is_counted_for_all_that_runs_and_not_for_waiting(bench: Bench) -> None:
    sandbox = await bench.loaded("app.burn")

    async def used_s(own: float, child: float, sleep: float) -> float:
        before = sandbox.cpu_us()
        await attempts.begun(sandbox, invocation({"own": own, "child": child, "sleep": sleep}))
        after = sandbox.cpu_us()
        assert before is not None
        assert after is not None
        return (after - before) / 1e6

    assert 0 <= await used_s(0, 0, 0.3) < 0.1
    assert 0.18 <= await used_s(0.2, 0, 0) < 0.4
    assert 0.18 <= await used_s(0, 0.2, 0) < 0.6
    await sandbox.close()
    assert sandbox.cpu_us() is None


async def test_events_and_results_of_a_megabyte_pass_unchanged(bench: Bench) -> None:
    sandbox = await bench.loaded("app.echo")
    event = {"text": "ä" * MIB}
    outcome = await attempts.begun(sandbox, invocation(event))
    assert json.loads(outcome.body) == event


async def test_bytes_pass_as_bytes(bench: Bench) -> None:
    outcome = await bench.run("app.raw")
    assert (outcome.body, outcome.is_bytes) == (b"\x00\xffraw", True)


async def test_an_attempt_has_its_own_output_and_nothing_of_what_came_between(bench: Bench) -> None:
    sandbox = await bench.loaded("app.prints")
    first = await attempts.begun(sandbox, invocation("one"))
    assert [line.text for line in first.logs] == ["out one", "err"]
    assert all(line.at_ms > 1_700_000_000_000 for line in first.logs)

    async def late_output_has_come() -> bool:
        again = await attempts.begun(sandbox, invocation("more"))
        assert [line.text for line in again.logs][:1] == ["out more"]
        return True

    await eventually(late_output_has_come)


async def test_what_was_printed_before_a_death_is_kept_and_so_is_what_children_print(bench: Bench) -> None:
    outcome = await bench.run("app.prints_and_dies")
    assert outcome.status is model.Status.ERROR
    assert [line.text for line in outcome.logs] == ["from a child", "last words"]


async def test_an_import_that_fails_is_returned_with_its_output(bench: Bench) -> None:
    _, loaded = await bench.load("broken.handler")
    assert loaded.status is model.Status.INIT_ERROR
    assert loaded.error is not None and "broken on purpose" in loaded.error.message
    assert loaded.logs[0].text == "before it breaks"


async def test_a_module_that_ends_its_process_is_the_functions_fault_also_while_limits_are_set(bench: Bench) -> None:
    _, loaded = await bench.load("leaving.handler", memory_mb=320, cpu_milli=1500)
    assert loaded.status is model.Status.INIT_ERROR
    assert loaded.error is not None
    assert (loaded.error.type, "exit status 3" in loaded.error.message) == ("Runtime.ExitError", True)


async def test_code_that_has_gone_is_said_before_and_after_a_sandbox_was_started_for_it(bench: Bench) -> None:
    with pytest.raises(errors.NotFound, match="no artifact"):
        await bench.engine.fetch("0" * 64)
    sandbox = await bench.start()
    gone = msgspec.structs.replace(bench.revision("app.echo"), artifact="0" * 64)
    with pytest.raises(errors.NotFound, match="no artifact"):
        await sandbox.load(gone)
    await bench.engine.fetch(bench.revision("app.echo").artifact)
    assert (await sandbox.load(bench.revision("app.echo"))).error is None


async def test_a_handler_that_is_missing_is_a_load_error(bench: Bench) -> None:
    _, loaded = await bench.load("app.missing")
    assert loaded.status is model.Status.INIT_ERROR
    assert loaded.error is not None and loaded.error.type == "Runtime.HandlerNotFound"


@pytest.mark.parametrize("init_timeout_ms", [1_000])
async def test_an_import_that_never_ends_is_ended(bench: Bench) -> None:
    sandbox, loaded = await bench.load("endless.handler", timeout_ms=1_000)
    assert loaded.status is model.Status.TIMEOUT
    assert loaded.error is not None and loaded.error.type == "Sandbox.Timedout"
    assert "Init timed out after 1.00 seconds" in loaded.error.message
    await sandbox.close()


async def test_a_timeout_ends_the_attempt_and_the_sandbox(bench: Bench) -> None:
    sandbox = await bench.loaded("app.never_returns", timeout_ms=300)
    gone: list[base.Sandbox] = []
    sandbox.on_closed(gone.append)
    asked = invocation()
    outcome = await attempts.begun(sandbox, asked)
    assert outcome.status is model.Status.TIMEOUT
    assert outcome.error == model.Failure(
        "Sandbox.Timedout", f"RequestId: {asked.id} Error: Task timed out after 0.30 seconds"
    )
    assert 300_000 <= outcome.duration_us < 3_000_000
    assert not outcome.reusable and gone == [sandbox]


@pytest.mark.parametrize("status", [0, 3])
async def test_a_function_that_exits_costs_its_attempt(bench: Bench, status: int) -> None:
    outcome = await bench.run("app.leaves", status)
    assert outcome.status is model.Status.ERROR and not outcome.reusable
    assert outcome.error is not None and outcome.error.type == "Runtime.ExitError"
    assert f"exit status {status}" in outcome.error.message


async def test_a_function_that_kills_itself_has_exited_and_not_run_out_of_memory(bench: Bench) -> None:
    outcome = await bench.run("app.kills_itself")
    assert outcome.status is model.Status.ERROR
    assert outcome.error is not None and "signal: killed" in outcome.error.message


async def test_memory_beyond_the_limit_ends_the_attempt_as_out_of_memory(bench: Bench) -> None:
    outcome = await bench.run("app.takes_memory", memory_mb=192)
    assert outcome.status is model.Status.OOM and not outcome.reusable
    assert outcome.error is not None and outcome.error.type == "Runtime.OutOfMemory"
    assert outcome.memory_peak_mb == 192


async def test_a_value_that_not_everybody_reads_costs_no_sandbox(bench: Bench) -> None:
    sandbox = await bench.loaded("app.values")
    for value, body in {"nan": b'{"x":NaN}', "infinity": b"-Infinity", "half": b'["\\ud800"]'}.items():
        outcome = await attempts.begun(sandbox, invocation(value))
        assert (outcome.status, outcome.body, outcome.reusable) == (model.Status.OK, body, True)
    outcome = await attempts.begun(sandbox, invocation("deep"))
    assert outcome.error is not None and outcome.error.type == "Runtime.MarshalError"
    assert "nested over 500 levels deep" in outcome.error.message and outcome.reusable
    assert (await attempts.begun(sandbox, invocation("nan"))).status is model.Status.OK


@only_docker
async def test_a_sandbox_without_a_network_knows_its_own_name(bench: Bench) -> None:
    outcome = await bench.run("app.names")
    assert json.loads(outcome.body) == {
        "own address": "127.0.0.1",
        "ways to it": ["127.0.0.1"],
        "full name": "localhost",
        "localhost": "127.0.0.1",
        "user": "sandbox",
        "home": "/tmp",
    }


@only_docker
async def test_tmp_promises_no_more_than_the_memory_has(limits: settings.Settings, tmp_path: Path) -> None:
    large = settings.changed(limits, tmp_mb=512, max_file_mb=512)
    bench = Bench(
        await choose.choose(
            large.data.root, large.sandboxes, bucket_finder(tmp_path), languages.known(large.sandboxes.base_image)
        ),
        large,
    )
    try:
        outcome = await bench.run("app.fills_tmp", memory_mb=192)
        told = {"promised": 144, "written": 3, "error": "No space left on device"}
        assert (outcome.status, json.loads(outcome.body)) == (model.Status.OK, told)
    finally:
        for sandbox in bench.started:
            await sandbox.close()
        await bench.engine.close()


@pytest.mark.parametrize("memory_mb", [64, 128])
async def test_what_is_to_run_before_an_idle_sandbox_ends_runs_for_a_time(bench: Bench, memory_mb: int) -> None:
    sandbox = await bench.loaded("app.echo", style=model.Style.FC, pre_stop="app.stops", memory_mb=memory_mb)
    printed: list[model.LogLine] = []
    sandbox.on_output(printed.extend)
    assert (await attempts.begun(sandbox, invocation([1]))).body == b"[1]"
    await sandbox.close()
    assert [line.text for line in printed] == ["stopping contract"]


async def test_output_without_end_is_cut_and_marked_and_slows_nobody(bench: Bench) -> None:
    outcome = await bench.run("app.prints_much", {"mib": 120})
    assert outcome.body == b'"done"' and outcome.logs_cut
    assert outcome.logs[-1].text.startswith("[log cut: 262144 bytes kept, ")
    kept = sum(len(line.text) + 1 for line in outcome.logs[:-1])
    assert 250_000 < kept <= 262_145


@pytest.mark.parametrize(
    "what",
    [
        "writes garbage",
        "announces a giant header",
        "announces a giant body",
        "answers another id",
        "says it is ready again",
        "forges a result that is not JSON",
    ],
)
async def test_a_function_that_breaks_the_protocol_costs_its_attempt(bench: Bench, what: str) -> None:
    outcome = await bench.run("app.hostile", what)
    assert outcome.status is model.Status.ERROR and not outcome.reusable
    assert outcome.error is not None and outcome.error.type == "Runtime.ProtocolError"


async def test_a_function_that_closes_its_socket_costs_its_attempt(bench: Bench) -> None:
    outcome = await bench.run("app.hostile", "closes its socket")
    assert outcome.status is model.Status.ERROR and not outcome.reusable
    assert outcome.error is not None
    assert outcome.error.type in ("Runtime.ExitError", "Runtime.ProtocolError")


async def test_a_sandbox_that_dies_between_attempts_says_so_once_and_takes_no_more(bench: Bench) -> None:
    sandbox = await bench.loaded("app.dies_later", background=True)  # else it is frozen
    gone: list[base.Sandbox] = []
    sandbox.on_closed(gone.append)
    assert (await attempts.begun(sandbox, invocation())).status is model.Status.OK
    await eventually(lambda: gone == [sandbox])
    with pytest.raises(base.SandboxLost):
        await attempts.begun(sandbox, invocation())
    await sandbox.close()
    assert gone == [sandbox]


async def test_closing_ends_what_runs_and_may_be_done_twice(bench: Bench) -> None:
    sandbox = await bench.loaded("app.never_returns")
    running = attempts.begun(sandbox, invocation())
    await sandbox.close()
    with pytest.raises(base.SandboxLost):
        await running
    await sandbox.close()
    assert not (bench.limits.data.root / "sandboxes" / sandbox.id).exists()


async def test_a_sandbox_reads_writes_lists_and_deletes_in_its_buckets(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "thumbs").mkdir()
    (tmp_path / "photos" / "a").write_bytes(b"0123456789" * 100_000)
    (tmp_path / "thumbs" / "old").write_bytes(b"")
    access = {"photos": model.Access.READ, "thumbs": model.Access.WRITE}
    outcome = await bench.run("app.copies", "a", buckets=access)
    assert outcome.status is model.Status.OK, outcome
    assert json.loads(outcome.body) == ["a", "old"]
    assert (tmp_path / "thumbs" / "a").read_bytes() == b"0123456789" * 200_000
    assert os.listdir(tmp_path / "thumbs") == ["a"]


async def test_what_a_sandbox_writes_carries_the_depth_of_the_invocation_that_wrote_it(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "thumbs").mkdir()
    for name in ("photos/a", "photos/b", "thumbs/old"):
        (tmp_path / name).write_bytes(b"x")
    access = {"photos": model.Access.READ, "thumbs": model.Access.WRITE}
    sandbox = await bench.loaded("app.copies", buckets=access)
    for key, depth in (("a", 7), ("b", 0)):
        (tmp_path / "thumbs" / "old").write_bytes(b"x")
        outcome = await attempts.begun(sandbox, msgspec.structs.replace(invocation(key), depth=depth))
        assert outcome.status is model.Status.OK
        assert os.getxattr(tmp_path / "thumbs" / key, stamps.DEPTH_ATTRIBUTE) == str(depth).encode()


async def test_buckets_refuse_what_was_not_declared(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a").write_bytes(b"")
    tried = [
        ("photos", "a", "rb"),
        ("photos", "a", "wb"),
        ("photos", "missing", "rb"),
        ("photos", "../private", "rb"),
        ("private", "a", "rb"),
    ]
    outcome = await bench.run("app.refused", tried, buckets={"photos": model.Access.READ})
    expected = ["allowed", "PermissionError", "FileNotFoundError", "ValueError", "PermissionError"]
    assert json.loads(outcome.body) == expected


async def test_the_runner_itself_refuses_what_the_agent_would_not_ask(bench: Bench, tmp_path: Path) -> None:
    for name in ("photos", "private"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_bytes(b"")
    asked = [
        {"t": "open", "n": 1, "bucket": "photos", "key": "a", "mode": "r"},
        {"t": "open", "n": 2, "bucket": "private", "key": "a", "mode": "r"},
        {"t": "open", "n": 3, "bucket": "photos", "key": "b", "mode": "w"},
        {"t": "open", "n": 4, "bucket": "photos", "key": "../private/a", "mode": "r"},
        {"t": "open", "n": 5, "bucket": "photos", "key": "a", "mode": "rw"},
        {"t": "delete", "n": 6, "bucket": "photos", "key": "a"},
        {"t": "list", "n": 7, "bucket": "private"},
        {"t": "commit", "n": 8},
    ]
    outcome = await bench.run("app.asks_past_the_agent", asked, buckets={"photos": model.Access.READ})
    assert json.loads(outcome.body) == [
        [None, 0 if bench.engine.name == "far" else 1],
        ["Denied", 0],
        ["Denied", 0],
        ["BadKey", 0],
        ["Failed", 0],
        ["Denied", 0],
        ["Denied", 0],
        ["Failed", 0],
    ]
    assert os.listdir(tmp_path / "photos") == ["a"]


@pytest.mark.parametrize("exits", [False, True])
async def test_what_an_attempt_left_open_is_closed_and_never_published(
    bench: Bench, tmp_path: Path, exits: bool
) -> None:
    (tmp_path / "thumbs").mkdir()
    sandbox = await bench.loaded("app.opens_and_forgets", buckets={"thumbs": model.Access.WRITE})
    await attempts.begun(sandbox, invocation(exits))
    assert not _open_files_under(tmp_path / "thumbs")
    assert os.listdir(tmp_path / "thumbs") == []


def _open_files_under(folder: Path) -> list[str]:
    return [path for path in _open_files() if path.startswith(str(folder))]


def _open_files() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return found


async def test_descriptors_are_given_back_when_sandboxes_close(bench: Bench) -> None:
    await (await bench.loaded("app.echo")).close()
    before = _own_descriptors(bench)
    for _ in range(2):
        await (await bench.loaded("app.echo")).close()
    assert _own_descriptors(bench) <= before


def _own_descriptors(bench: Bench) -> int:
    """How many are open; Docker's client keeps a pool of sockets, which says nothing about the sandboxes."""
    ours = (lambda path: not path.startswith("socket:")) if bench.engine.name == "docker" else (lambda _path: True)
    return sum(1 for path in _open_files() if ours(path))


@only_here
async def test_a_data_directory_may_have_a_long_path(kind: str, tmp_path: Path) -> None:
    limits = settings.of(data_dir=str(tmp_path / ("long" * 40)), engine=kind)
    engine = await choose.choose(
        limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
    )
    sandbox = await engine.start(base.Spec(runtime="python3"))
    await sandbox.close()
    await engine.close()


@only_here
async def test_a_sweep_removes_what_a_dead_runner_left_and_nothing_of_a_live_one(
    bench: Bench, limits: settings.Settings, kind: str
) -> None:
    mine = await bench.loaded("app.echo")
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "left_behind_runner.py"),
        kind,
        limits.data.data_dir,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert other.stdout is not None
    theirs = (await other.stdout.readline()).decode().strip()
    assert await bench.engine.sweep() == 0
    other.kill()
    await other.wait()
    assert await bench.engine.sweep() == 1
    assert not (limits.data.root / "sandboxes" / theirs).exists()
    assert (await attempts.begun(mine, invocation(1))).body == b"1"


@pytest.mark.parametrize("kind", ["process"], indirect=True)
async def test_children_that_left_the_session_end_with_the_sandbox(bench: Bench, open_folder: Path) -> None:
    marker = open_folder / "started"
    sandbox = await bench.loaded("app.leaves_a_child")
    await attempts.begun(sandbox, invocation(str(marker)))
    await eventually(marker.exists)
    await sandbox.close()
    eventually_sync(lambda: not _processes_naming(str(marker)))


def _processes_naming(text: str) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if text.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
        except OSError:
            continue
    return found


@only_docker
async def test_a_container_is_locked_down_as_seen_from_inside(bench: Bench) -> None:
    seen = json.loads((await bench.run("app.looks_around")).body)
    with contextlib.closing(daemon.connect()) as client:
        assert seen.pop("uid") in uids.given("", remaps_users=abilities.ask(client).remaps_users)
    assert seen == {
        "capabilities": ["0000000000000000"] * 5,
        "no_new_privileges": "1",
        "writes": {"/": False, "/var/task": False, "/var/faas": False, "/usr": False, "/tmp": True},
        "root_is_read_only": True,
        "longest_file": str(16 * MIB),
        "networks": ["lo"],
        "tmp": "0o1777",
        "root": "/var/task",
        "beside": sorted(os.listdir(CODE)),
        "sockets": [],
    }


@only_docker
async def test_outbound_network_is_there_when_asked_for(bench: Bench) -> None:
    sandbox = await bench.start(base.Spec(runtime="python3", network=model.Network.OUTBOUND))
    await sandbox.load(bench.revision("app.looks_around", network=model.Network.OUTBOUND))
    seen = json.loads((await attempts.begun(sandbox, invocation())).body)
    assert seen["networks"] == ["eth0", "lo"]


@only_docker
async def test_files_and_tmp_are_limited(kind: str, tmp_path: Path) -> None:
    sizes = {}
    for tmp_mb, max_file_mb in ((8, 64), (64, 8)):
        limits = settings.of(data_dir=str(tmp_path / "data"), engine=kind, tmp_mb=tmp_mb, max_file_mb=max_file_mb)
        bench = Bench(
            await choose.choose(
                limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
            ),
            limits,
        )
        sizes[tmp_mb] = json.loads((await bench.run("app.writes_much")).body)
        await bench.started[0].close()
        await bench.engine.close()
    assert sizes == {8: [28, 8 * MIB], 64: [27, 8 * MIB]}


@only_docker
async def test_a_fork_bomb_stops_at_the_limit_of_processes_and_ends_with_the_container(bench: Bench) -> None:
    sandbox = await bench.loaded("app.forks")
    outcome = await attempts.begun(sandbox, invocation())
    assert outcome.status is model.Status.OK, outcome
    assert 0 < json.loads(outcome.body) < 64
    await sandbox.close()


@only_docker
async def test_the_limits_of_the_revision_replace_those_of_the_stock(bench: Bench) -> None:
    sandbox = await bench.loaded("app.echo", memory_mb=320, cpu_milli=1500)
    client = daemon.connect()
    has = abilities.ask(client)
    found = client.inspect_container(f"faas-{sandbox.id}")
    client.close()
    group, cpu = (cgroups.group(found["State"]["Pid"], controller) for controller in ("memory", "cpu"))
    assert group is not None and cpu is not None
    assert cgroups.memory_limit_bytes(group) == 320 * MIB
    assert control_groups.quota(cpu) == 1.5
    if has.maker == abilities.DOCKER:  # Podman does not tell of what was changed
        told = found["HostConfig"]
        assert (told["Memory"], told["MemorySwap"] - told["Memory"]) == (320 * MIB, 4096 if has.cgroups == 2 else 0)
        assert told["CpuQuota"] == 1.5 * told["CpuPeriod"]


@only_docker
async def test_a_container_that_was_removed_is_the_platforms_fault(bench: Bench) -> None:
    sandbox = await bench.loaded("app.never_returns")
    running = attempts.begun(sandbox, invocation())
    client = daemon.connect()
    client.remove_container(f"faas-{sandbox.id}", force=True)
    client.close()
    with pytest.raises(base.SandboxLost, match="removed"):
        await running


@only_docker
async def test_a_base_image_that_cannot_be_had_is_said(limits: settings.Settings) -> None:
    missing = settings.changed(limits, base_image="no-such-image.invalid/nothing:1")
    with pytest.raises(base.EngineUnavailable, match="cannot be pulled"):
        await choose.choose(
            missing.data.root, missing.sandboxes, lambda _name: None, languages.known(missing.sandboxes.base_image)
        )


async def test_without_a_docker_daemon_the_docker_engine_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    limits = settings.of(data_dir=str(tmp_path / "data"), engine="docker")
    with pytest.raises(base.EngineUnavailable, match="Docker does not answer"):
        await containers.DockerEngine.open(
            limits.data.root, limits.sandboxes, lambda _name: None, languages.known(limits.sandboxes.base_image)
        )


@only_docker
async def test_a_check_of_an_engine_that_answers_is_quiet(bench: Bench) -> None:
    await bench.engine.check()
