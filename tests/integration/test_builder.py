"""The builder as it really runs: an RQ worker in a process of its own, on the real server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import redis

from faas.builds import deploy, deployments, nodes, ports, progress
from faas.cli import languages
from faas.cluster import demand
from faas.core import errors, groups, model
from faas.core import settings as settings_module
from faas.queue import keys
from faas.store import database, functions
from faas.valkey import embedded
from tests import builder as builder_process
from tests.eventually import eventually_sync
from tests.project_files import function, project, tar

APP = {"app.py": "def handler(event, context):\n    return event\n"}
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(settings: settings_module.Settings) -> Iterator[Start]:
    """Starts a builder of `tests.builder`; all are ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def one(moment: str = "") -> subprocess.Popen[bytes]:
        with (settings.data.root / f"builder-{len(started)}.log").open("w") as log:
            started.append(builder_process.start(settings, moment, log))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def builds(settings: settings_module.Settings) -> Iterator[deployments.Builds]:
    made = deployments.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    yield made
    made.close()


@pytest.fixture
def catalog(settings: settings_module.Settings) -> Iterator[functions.Functions]:
    engine = database.open_database(settings.data)
    yield functions.Functions(engine)
    engine.dispose()


def submit(
    builds: deployments.Builds, root: Path, files: dict[str, str | bytes] | None = None, **config: object
) -> str:
    source = tar(root / "uploads/hello.tar", files or dict(APP))
    return builds.submit(project(function(**config)), {"hello": source})


def ended(builds: deployments.Builds, id: str, within: float = 20) -> progress.Deployment:
    def over() -> progress.Deployment | None:
        told = builds.progress(id)
        return told if told.state in (progress.State.DONE, progress.State.FAILED) else None

    found = eventually_sync(over, within=within)
    assert found is not None
    return found


def log(settings: settings_module.Settings) -> str:
    """What the first builder has said."""
    return (settings.data.root / "builder-0.log").read_text()


def loading(builds: deployments.Builds, id: str) -> bool:
    return any(step.name == "load" and step.state.value == "running" for step in builds.progress(id).steps)


def test_a_submitted_project_is_queued_then_deployed_and_leaves_no_upload(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    id = submit(builds, settings.data.root)
    assert builds.progress(id).state == progress.State.QUEUED
    assert not (settings.data.root / "uploads/hello.tar").exists()
    start()
    told = ended(builds, id)
    assert (told.state, told.error) == (progress.State.DONE, None)
    assert [(one.function, one.revision, one.changed) for one in told.functions] == [("hello", 1, True)]
    assert catalog.current("hello") is not None
    eventually_sync(lambda: list((settings.data.root / "builds").iterdir()) == [])


def test_who_follows_a_deployment_reads_each_change_once_and_ends_where_the_whole_does(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings
) -> None:
    (settings.data.root / "hold").touch()
    start()
    id = submit(builds, settings.data.root)
    steps: dict[str, progress.Step] = {}
    seen = told = 0

    def follow() -> progress.Deployment | None:
        nonlocal seen, told
        found = builds.progress(id, seen)
        told += len(found.steps) if seen else 0
        steps.update({step.name: step for step in found.steps})
        seen = found.changes
        if found.state == progress.State.RUNNING and steps["load"].state == progress.StepState.RUNNING:
            (settings.data.root / "go").touch()
        return found if found.state in (progress.State.DONE, progress.State.FAILED) else None

    last = eventually_sync(follow, within=20)
    assert last is not None
    whole = builds.progress(id)
    assert tuple(steps.values()) == whole.steps
    assert (last.functions, last.changes, last.created_at_ms) == (whole.functions, whole.changes, whole.created_at_ms)
    assert told <= whole.changes
    assert builds.progress(id, whole.changes) == msgspec.structs.replace(whole, steps=())
    assert builds.progress(id, whole.changes + 100) == whole


def test_what_is_kept_of_a_deployment_has_the_lifetime_of_its_job_and_the_size_of_what_changed(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings
) -> None:
    start()
    made = project(*(function(f"f{number}") for number in range(20)))
    source = tar(settings.data.root / "uploads/all.tar", dict(APP))
    id = builds.submit(made, {f"f{number}": source for number in range(20)})
    assert ended(builds, id, within=60).error is None
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        kept = keys.Keys(settings.redis.redis_prefix).deployment(id)
        assert deployments.KEPT_S - 60 < client.ttl(kept) <= deployments.KEPT_S
        assert max(len(change) for change in client.lrange(kept, 0, -2)) < 400


def test_a_tar_that_was_built_before_need_not_be_sent_and_another_is_asked_for(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        client.hset(
            keys.Keys(settings.redis.redis_prefix).runtimes, python, json.dumps({"machine": platform.machine()})
        )
    source = tar(settings.data.root / "hello.tar", dict(APP))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    unsent = project(msgspec.structs.replace(function("other"), source=sha256))
    with pytest.raises(errors.SourceMissing) as caught:
        builds.submit(unsent, {})
    assert caught.value.data["missing"] == [sha256]
    start()
    assert ended(builds, submit(builds, settings.data.root)).error is None
    assert ended(builds, builds.submit(unsent, {})).error is None
    one, two = catalog.current("hello"), catalog.current("other")
    assert one is not None
    assert two is not None
    assert one.artifact == two.artifact


def test_a_build_that_fails_tells_why_and_leaves_nothing(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    start()
    told = ended(builds, submit(builds, settings.data.root, {"app.py": "raise OSError('mine')\n"}))
    assert told.state == progress.State.FAILED
    assert told.error is not None
    assert told.error["code"] == "build_failed"
    assert "OSError: mine" in told.error["message"]
    assert any("raise OSError" in line for line in told.error["stack"])
    assert catalog.revisions("hello") == []
    eventually_sync(lambda: list((settings.data.root / "builds").iterdir()) == [])


def test_secrets_of_a_project_are_not_put_into_redis(
    builds: deployments.Builds, settings: settings_module.Settings
) -> None:
    id = submit(builds, settings.data.root, env={"TOKEN": "s3cr3t-value"})
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        held = client.hgetall(f"rq:job:{id}")
    assert held
    assert not any(b"s3cr3t-value" in value for value in held.values())


def test_what_can_never_be_built_is_refused_before_it_is_queued(
    builds: deployments.Builds, settings: settings_module.Settings
) -> None:
    with pytest.raises(errors.BadRequest):
        builds.submit(model.Project(functions=()), {})
    assert not (settings.data.root / "builds").exists()


def test_an_unknown_deployment_is_not_found(builds: deployments.Builds) -> None:
    with pytest.raises(errors.NotFound):
        builds.progress("0190-no-such")


def test_without_redis_nothing_is_accepted(settings: settings_module.Settings, tmp_path: Path) -> None:
    lost = deployments.Builds(
        settings.data,
        groups.Redis(redis_url=f"unix://{tmp_path}/none.sock"),
        settings.building,
        languages.known(settings.sandboxes.base_image),
    )
    with pytest.raises(errors.Unavailable):
        submit(lost, settings.data.root)
    with pytest.raises(errors.Unavailable):
        lost.progress("x")
    assert list((settings.data.root / "builds").iterdir()) == []


@pytest.mark.parametrize("id", ["../precious", "..", "x/../../precious", "/tmp/precious", "precious"])
def test_a_job_that_somebody_else_queued_names_no_folder(
    id: str, builds: deployments.Builds, start: Start, settings: settings_module.Settings
) -> None:
    for folder in (
        settings.data.root / "precious",
        settings.data.root / "builds" / "x",
        settings.data.root / "builds" / "precious",
    ):
        folder.mkdir(parents=True)
        (folder / "file").write_text("kept")
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        queue = deployments.queue(settings.redis, client)
        job = queue.enqueue_call("faas.builds.worker.run_deployment", args=(id,), job_id="forged")
        client.rename("rq:job:forged", f"rq:job:{id}")
        client.lrem(queue.key, 0, "forged")
        client.rpush(queue.key, id)
        assert job is not None
        start()
        after = submit(builds, settings.data.root)
        assert ended(builds, after).state == progress.State.DONE
    assert (settings.data.root / "precious" / "file").read_text() == "kept"
    assert sorted(path.name for path in (settings.data.root / "precious").iterdir()) == ["file"]


def test_an_idle_builder_ends_cleanly_when_it_is_told_to(start: Start, settings: settings_module.Settings) -> None:
    builder = start()
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        eventually_sync(lambda: client.smembers(f"rq:workers:{settings.redis.redis_prefix}:builds"), within=15)
    builder.send_signal(signal.SIGTERM)
    assert builder.wait(10) == 0


def test_a_builder_that_is_told_to_stop_before_it_is_ready_ends_cleanly(start: Start) -> None:
    assert start("starting").wait(15) == 0


@pytest.mark.parametrize("moment", ["before", "after_in_parent", "after_in_child"])
def test_a_stop_that_comes_while_a_deployment_is_being_started_is_not_lost(
    moment: str, builds: deployments.Builds, start: Start, settings: settings_module.Settings
) -> None:
    (settings.data.root / "hold").touch()
    id = submit(builds, settings.data.root)
    builder = start(moment)
    if moment == "after_in_child":  # the deployment's process alone was told: the builder takes it up again
        eventually_sync(lambda: "deployment_interrupted" in log(settings), within=20)
        builder.send_signal(signal.SIGTERM)
    assert builder.wait(20) == 0
    assert builds.progress(id).state == progress.State.QUEUED


def test_a_builder_that_stops_gives_its_deployment_to_the_next_one(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    (settings.data.root / "hold").touch()
    builder = start()
    id = submit(builds, settings.data.root)
    eventually_sync(lambda: loading(builds, id), within=20)
    builder.send_signal(signal.SIGTERM)
    assert builder.wait(10) == 0
    assert builds.progress(id).state == progress.State.QUEUED
    assert catalog.revisions("hello") == []
    (settings.data.root / "go").touch()
    start()
    told = ended(builds, id)
    assert told.state == progress.State.DONE
    assert [one.number for one in catalog.revisions("hello")] == [told.functions[0].revision]


def test_a_killed_builder_leaves_nothing_that_matters_and_the_next_one_starts_anew(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    (settings.data.root / "hold").touch()
    builder = start()
    id = submit(builds, settings.data.root)
    eventually_sync(lambda: catalog.revisions("hello"), within=20)
    assert loading(builds, id)
    builder.kill()
    builder.wait()
    assert [one.number for one in catalog.revisions("hello")] == [1]
    (settings.data.root / "go").touch()
    start()
    told = ended(builds, id)
    assert told.state == progress.State.DONE
    assert [one.number for one in catalog.revisions("hello")] == [told.functions[0].revision]
    eventually_sync(lambda: list((settings.data.root / "builds").iterdir()) == [])


@pytest.mark.parametrize("step", ["validate", "resolve", "compile", "pack", "load", "activate"])
def test_a_builder_killed_at_any_step_leaves_what_serves_and_the_next_one_starts_anew(
    step: str,
    builds: deployments.Builds,
    start: Start,
    settings: settings_module.Settings,
    catalog: functions.Functions,
) -> None:
    builder = start(f"kill:{step}")
    files: dict[str, str | bytes] = {**APP, "requirements.txt": "six==1.17.0\n"}
    id = submit(builds, settings.data.root, files, requirements="requirements.txt")
    assert builder.wait(20) == -signal.SIGKILL
    assert catalog.current("hello") is None
    start()
    told = ended(builds, id)
    assert (told.state, told.error) == (progress.State.DONE, None)
    assert [one.number for one in catalog.revisions("hello")] == [told.functions[0].revision]
    eventually_sync(lambda: list((settings.data.root / "builds").iterdir()) == [])
    assert [path.name for path in (settings.data.root / "artifacts").iterdir()] == [f"{told.functions[0].artifact}.tar"]


def test_a_deployment_whose_process_is_killed_again_and_again_is_given_up(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    start()
    id = submit(builds, settings.data.root, {"app.py": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"})
    told = ended(builds, id)
    assert told.state == progress.State.FAILED
    assert told.error is not None
    assert told.error["message"] == "the build was interrupted"
    assert catalog.current("hello") is None
    eventually_sync(lambda: list((settings.data.root / "builds").iterdir()) == [])


def test_a_deployment_whose_builders_are_killed_again_and_again_is_given_up_and_swept(
    builds: deployments.Builds, start: Start, settings: settings_module.Settings
) -> None:
    id = ""
    for _ in range(3):
        builder = start("kill:load")
        id = id or submit(builds, settings.data.root)
        assert builder.wait(20) == -signal.SIGKILL
        (settings.data.root / "killed").unlink()
    start()
    assert ended(builds, id).state == progress.State.FAILED
    eventually_sync(lambda: list((settings.data.root / "builds").iterdir()) == [])


def test_a_started_builder_sweeps_what_ended_deployments_left(
    start: Start, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    folder = settings.data.root / "builds/0190-gone"
    folder.mkdir(parents=True)
    made = deploy.Built(spec=function(), artifact="0" * 64, config=function().config)
    deploy.PendingRevisions(folder, catalog).add_revisions([made])
    (folder / "work").mkdir()
    start()
    eventually_sync(lambda: not folder.exists(), within=15)
    assert catalog.revisions("hello") == []


def test_the_builder_asks_redis_which_runtimes_there_are(settings: settings_module.Settings) -> None:
    asked = nodes.RedisNodes(settings.redis, languages.known(settings.sandboxes.base_image))
    assert asked.runtimes() == []
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        client.hset(keys.Keys(settings.redis.redis_prefix).runtimes, "python3.11", '{"machine": "aarch64"}')
    (info,) = asked.runtimes()
    assert str(info) == "python3.11 on Linux aarch64 (glibc)"
    assert asked.announce(1) is True
    with pytest.raises(errors.Unavailable, match="no node loaded hello@1"):
        asked.load(["hello@1"], 50, lambda ref: contextlib.nullcontext(lambda report: None))


class _Watched:
    """What a deployment sees of its loads: how many go on at once, what was loaded, and what was given up."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.loaded: list[str] = []
        self.given_up: list[str] = []

    @contextlib.contextmanager
    def __call__(self, ref: str) -> Iterator[Callable[[ports.LoadReport], None]]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield lambda report: self._take(ref, report)
        except asyncio.CancelledError:
            self.given_up.append(ref)
            raise
        finally:
            self.running -= 1

    def _take(self, ref: str, report: ports.LoadReport) -> None:
        if not report.ok:
            raise errors.BuildFailed(f"{ref} does not load")
        self.loaded.append(ref)


def _load_with_a_node(
    settings: settings_module.Settings, refs: Sequence[str], watched: _Watched, bad: str = ""
) -> None:
    """Have revisions loaded by a node that answers only once as many are asked as may be at once, or are left."""
    asked = nodes.RedisNodes(settings.redis, languages.known(settings.sandboxes.base_image))
    stop = threading.Event()

    async def serve() -> None:
        node = await demand.Demand.open(settings.redis.redis_url, settings.redis.redis_prefix)
        answered = 0
        held: list[demand.DemandEntry] = []
        while not stop.is_set():
            held += await node.read("test-node", 16, 50)
            if len(held) == min(4, len(refs) - answered):
                for request in held:
                    report = demand.LoadReport(ok=request.ref != bad, init_us=5)
                    if not bad or request.ref == bad:
                        await node.answer(request, report)
                answered += len(held)
                held = []
        await node.close()

    serving = threading.Thread(target=asyncio.run, args=(serve(),))
    serving.start()
    try:
        asked.load(refs, 15_000, watched)
    finally:
        stop.set()
        serving.join()


def test_handlers_are_loaded_several_at_once_and_no_more_than_a_node_starts(
    settings: settings_module.Settings,
) -> None:
    refs = [f"f{number}@1" for number in range(10)]
    watched = _Watched()
    _load_with_a_node(settings, refs, watched)
    assert (watched.most, sorted(watched.loaded), watched.running) == (4, refs, 0)


def test_a_handler_that_does_not_load_ends_the_waiting_of_the_others_and_is_the_error(
    settings: settings_module.Settings,
) -> None:
    watched = _Watched()
    with pytest.raises(errors.BuildFailed, match=r"^f2@1 does not load$"):
        _load_with_a_node(settings, [f"f{number}@1" for number in range(10)], watched, bad="f2@1")
    assert sorted(watched.given_up) == ["f0@1", "f1@1", "f3@1"]
    assert (watched.loaded, watched.running) == ([], 0)


def _node_answers(settings: settings_module.Settings, report: demand.LoadReport | None) -> str:
    """Be a node for one `load`: read the request and, with a report, answer it; the revision that was asked for."""

    async def answer() -> str:
        node = await demand.Demand.open(settings.redis.redis_url, settings.redis.redis_prefix)
        try:
            requests: list[demand.DemandEntry] = []
            while not requests:
                requests = await node.read("test-node", 1, 15_000)
            if report is not None:
                await node.answer(requests[0], report)
            return requests[0].ref
        finally:
            await node.close()

    return asyncio.run(answer())


def test_the_builder_that_faas_up_starts_asks_nodes_through_redis_and_stops_while_it_waits(
    builds: deployments.Builds, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    program = (
        "import sys, msgspec; from faas import builds; from faas.cli import languages; from faas.core import settings\n"
        "given = msgspec.json.decode(sys.argv[1], type=settings.Settings)\n"
        "builds.worker_main(given.data, given.redis, given.building, given.destinations, languages.known(''))"
    )
    command = [sys.executable, "-c", program, msgspec.json.encode(settings).decode()]
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        client.hset(keys.Keys(settings.redis.redis_prefix).runtimes, python, '{"machine": "x86_64"}')
    first = subprocess.Popen(command)
    try:
        id = submit(builds, settings.data.root)
        assert _node_answers(settings, None) == "hello@1"
        first.send_signal(signal.SIGTERM)
        assert first.wait(10) == 0
    finally:
        first.kill()
        first.wait()
    assert catalog.revisions("hello") == []
    second = subprocess.Popen(command)
    try:
        assert _node_answers(settings, demand.LoadReport(ok=True, init_us=5)) == "hello@2"
        assert ended(builds, id).state == progress.State.DONE
    finally:
        second.kill()
        second.wait()
    served = catalog.current("hello")
    assert served is not None
    assert served.ref == "hello@2"


def test_a_builder_whose_redis_stops_waits_for_it_and_goes_on(
    tmp_path: Path, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    server = embedded.EmbeddedServer(tmp_path / "redis")
    settings = settings_module.changed(settings, redis_url=asyncio.run(server.start()))
    made = deployments.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    builder = builder_process.start(settings)
    try:
        assert ended(made, submit(made, settings.data.root)).state == progress.State.DONE
        asyncio.run(server.stop())
        with pytest.raises(errors.Unavailable):
            submit(made, settings.data.root)
        asyncio.run(server.start())
        id = submit(made, settings.data.root, memory_mb=512)
        assert ended(made, id, within=30).functions[0].revision == 2
        assert builder.poll() is None
    finally:
        builder.kill()
        builder.wait()
        made.close()
        asyncio.run(server.stop())


def test_a_deployment_during_which_redis_stops_goes_on_when_it_is_back(
    tmp_path: Path, settings: settings_module.Settings, catalog: functions.Functions
) -> None:
    server = embedded.EmbeddedServer(tmp_path / "redis")
    settings = settings_module.changed(settings, redis_url=asyncio.run(server.start()))
    made = deployments.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    (settings.data.root / "hold").touch()
    with (settings.data.root / "builder-0.log").open("w") as file:
        builder = builder_process.start(settings, log=file)
    try:
        id = submit(made, settings.data.root)
        eventually_sync(lambda: catalog.revisions("hello"), within=20)
        asyncio.run(server.stop())
        (settings.data.root / "go").touch()
        eventually_sync(lambda: "builder_awaits_redis" in log(settings), within=60)
        asyncio.run(server.start())
        told = ended(made, id, within=30)
        assert (told.state, told.error) == (progress.State.DONE, None)
        assert [one.number for one in catalog.revisions("hello")] == [told.functions[0].revision]
    finally:
        builder.kill()
        builder.wait()
        made.close()
        asyncio.run(server.stop())


def test_a_disk_that_is_full_at_any_moment_fails_the_deploy_with_one_clear_line_and_leaves_nothing(
    tmp_path: Path, redis_url: str, prefix: str
) -> None:
    place = tmp_path / "small"
    place.mkdir()
    room = [16_000_000, 0, 70_000, 300_000, 450_000, 15_000_000]
    python = f"{sys.executable} -m tests.full_disk {place} {redis_url} {prefix} {' '.join(map(str, room))}"
    script = f"mount -t tmpfs -o size=16m none {place} && exec {python}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    first, *full, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert (first["state"], last["state"]) == ("done", "done")
    assert {each["error"] and each["error"]["message"] for each in full} == {"no space left on the platform's disk"}
    assert all(each["left"] == first["left"] for each in full)
    assert last["left"]["revisions"] == 2
