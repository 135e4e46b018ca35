"""What whoever reaches Redis may write into the builder's queue, against a builder that runs."""

from __future__ import annotations

import json
import pickle
import subprocess
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import rq.exceptions

from faas.builds import deployments, jobs, progress
from faas.cli import languages
from faas.core import settings as settings_module
from tests import builder as builder_process
from tests.eventually import eventually_sync
from tests.project_files import function, project, tar

NOW = "2026-01-01T00:00:00.000000Z"


class _Runs:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._marker,)


def call(name: str, *args: object) -> bytes:
    return json.dumps([name, None, args, {}]).encode()


def own(id: str) -> bytes:
    return call(jobs.FUNCTION, id)


def hostile_jobs(marker: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Ids and fields by what they try."""
    touch = call("pathlib.Path.touch", str(marker))
    system = call("os.system", f"touch {marker}")
    made: dict[str, tuple[str, dict[str, Any]]] = {}

    def add(what: str, data: bytes, id: str | None = None, **fields: Any) -> None:
        id = id or str(uuid.uuid4())
        made[what] = (id, {"data": data if data != b"own" else own(id), "status": "queued", **fields})

    add("another function", touch)
    add("a function of the system", system)
    add("a function, compressed", zlib.compress(system))
    add("a bomb", zlib.compress(b"[" + b" " * 300_000_000))
    add("a pickle", pickle.dumps(_Runs(marker)))
    add("a pickle, compressed", zlib.compress(pickle.dumps(_Runs(marker))))
    add("another deployment's id", own(str(uuid.uuid4())))
    add("a path as id", own("../../etc"), "../../etc")
    add("a path as argument", call(jobs.FUNCTION, "../../etc"))
    add("keyword arguments", json.dumps([jobs.FUNCTION, None, [], {"id": "x"}]).encode())
    add("an instance", json.dumps([jobs.FUNCTION, "os", ["x"], {}]).encode())
    add("deep JSON", b"[" * 4000)
    add("callbacks", b"own", success_callback_name="os.getcwd", failure_callback_name=f"antigravity.{marker}")
    add("a failure callback", b"own", failure_callback_name="os.system", timeout="1", created_at=NOW)
    add("pickled meta", b"own", meta=pickle.dumps(_Runs(marker)))
    add("no meta of ours", b"own", meta=b"[1,2,3]")
    add("meta of another type", b"own", meta=json.dumps({"functions": [{"a": 1}]}))
    add("pickled result", b"own", result=pickle.dumps(_Runs(marker)))
    add("an unknown status", b"own", status="owned")
    add("a date that is none", b"own", created_at="yesterday")
    add("no end", b"own", timeout="-1")
    add("a number without end", b"own", timeout="9" * 5000)
    add("webhooks", b"own", webhooks=json.dumps([{"url": "http://127.0.0.1:1/", "statuses": ["finished"]}]))
    add("a dependency", b"own", dependency_ids=json.dumps(["x"]))
    add("a rate limit", b"own", rate_limit_key="k", rate_limit_concurrency="1")
    add("a group", b"own", group_id="g")
    add("no text", b"own", origin=b"\xff\xfe")
    add("a long word", b"own", description="x" * 100_000)
    made["no data"] = (str(uuid.uuid4()), {"status": "queued"})
    made["not even a hash"] = (str(uuid.uuid4()), {})
    return made


@pytest.fixture
def connection(settings: settings_module.Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.redis.redis_url) as client:
        yield client


@pytest.fixture
def running(settings: settings_module.Settings) -> Iterator[subprocess.Popen[bytes]]:
    with (settings.data.root / "builder.log").open("w") as log:
        process = builder_process.start(settings, "", log)
    yield process
    process.kill()
    process.wait()


def _push(connection: redis.Redis, settings: settings_module.Settings, id: str, fields: dict[str, Any]) -> None:
    queue = deployments.queue(settings.redis, connection)
    if fields:
        connection.hset(f"rq:job:{id}", mapping=fields)
    connection.expire(f"rq:job:{id}", 600)
    connection.sadd("rq:queues", queue.key)
    connection.rpush(queue.key, id)


def test_nothing_that_is_written_into_the_queue_runs_and_deployments_go_on(
    settings: settings_module.Settings, connection: redis.Redis, running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "owned"
    for id, fields in hostile_jobs(marker).values():
        _push(connection, settings, id, fields)
    builds = deployments.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    source = tar(tmp_path / "uploads/hello.tar", {"app.py": "def handler(event, context):\n    return event\n"})
    id = builds.submit(project(function()), {"hello": source})

    def done() -> bool:
        return builds.progress(id).state == progress.State.DONE

    assert eventually_sync(done, within=60)
    builds.close()
    assert not marker.exists()
    assert running.poll() is None


def test_maintenance_of_rq_reads_no_pickle_and_calls_nothing(
    settings: settings_module.Settings, connection: redis.Redis, tmp_path: Path
) -> None:
    marker = tmp_path / "owned"
    queue = deployments.queue(settings.redis, connection)
    pickled, abandoned, dependent = (str(uuid.uuid4()) for _ in range(3))
    evil = {"data": pickle.dumps(_Runs(marker)), "meta": pickle.dumps(_Runs(marker)), "status": "started"}
    for id in (pickled, dependent):
        connection.hset(f"rq:job:{id}", mapping=evil)
    connection.hset(
        f"rq:job:{abandoned}",
        mapping={"data": own(abandoned), "status": "started", "failure_callback_name": "os.abort"},
    )
    connection.sadd(f"rq:job:{abandoned}:dependents", dependent)
    for id in (pickled, abandoned):
        connection.zadd(queue.started_job_registry.key, {f"{id}:x": 1})
        connection.zadd(queue.failed_job_registry.key, {id: 1})
        connection.lpush(queue.intermediate_queue_key, id)
    connection.sadd("rq:rl-keys", "k")
    connection.hset("rq:rl:k", "concurrency", 1)
    connection.zadd("rq:rl:k:allowed", {pickled: 1})
    connection.sadd("rq:groups", "rq:group:g")
    connection.sadd("rq:group:g", pickled)
    worker = builder_process.worker.BuildWorker(
        [queue],
        connection=connection,
        serializer=queue.serializer,
        job_class=jobs.BuildJob,
        queue_class=jobs.BuildQueue,
    )
    worker.run_maintenance_tasks()
    assert not marker.exists()
    assert connection.hget(f"rq:job:{abandoned}", "status") == b"failed"
    for key in ("rq:rl-keys", "rq:rl:k", "rq:rl:k:allowed", "rq:groups", "rq:group:g"):
        connection.delete(key)


@pytest.mark.parametrize("what", sorted(hostile_jobs(Path("/nowhere"))))
def test_of_a_hostile_job_only_what_is_ours_is_believed(
    settings: settings_module.Settings, connection: redis.Redis, tmp_path: Path, what: str
) -> None:
    marker = tmp_path / "owned"
    id, fields = hostile_jobs(marker)[what]
    if fields:
        connection.hset(f"rq:job:{id}", mapping=fields)
        connection.expire(f"rq:job:{id}", 600)
    queue = deployments.queue(settings.redis, connection)
    try:
        job = jobs.BuildJob.fetch(id, connection=connection, serializer=queue.serializer)
    except rq.exceptions.NoSuchJobError:
        pass
    else:
        assert (job.func_name, job.instance, job.args, job.kwargs) == (jobs.FUNCTION, None, [id], {})
        assert (job.success_callback, job.failure_callback, job.stopped_callback) == (None, None, None)
        assert not (job.has_rate_limit or job.webhooks or job.group_id or job.dependency_ids)
    assert not marker.exists()
