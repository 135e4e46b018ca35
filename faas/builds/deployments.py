"""Deployments as RQ jobs: taken in by `Builds`, their progress kept beside the job (`faas.builds.history`).

A deployment's id is its job's id. Its sources and its project (which may hold secrets in `env`) wait in the data
directory and not in Redis; they are gone when it has ended. How it went is kept for a day.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis as redis_py
import rq
import rq.exceptions
import rq.job
from rq.serializers import JSONSerializer

from faas import artifacts
from faas.builds import bundle, checks, deploy, folders, history, jobs, nodes, progress, runtimes
from faas.builds import sources as sources_module
from faas.core import bucket_places, errors, groups, ids, model
from faas.link import client as redis_client
from faas.runtimes import table

KEPT_S = 24 * 3600
_RUNS = 3
_GRACE_S = 120
_NAMED = 5
_STATES = {
    rq.job.JobStatus.QUEUED: progress.State.QUEUED,
    rq.job.JobStatus.SCHEDULED: progress.State.QUEUED,
    rq.job.JobStatus.DEFERRED: progress.State.QUEUED,
    rq.job.JobStatus.CREATED: progress.State.QUEUED,
    rq.job.JobStatus.STARTED: progress.State.RUNNING,
}


class Builds:
    """Takes deployments in and tells how far they are. Safe to use from several threads."""

    def __init__(
        self, data: groups.Data, redis: groups.Redis, building: groups.Building, languages: table.Runtimes
    ) -> None:
        self._data = data
        self._redis = redis
        self._building = building
        self._languages = languages
        self._places = folders.BuildFolders(data.root)
        self._connection = redis_py.Redis.from_url(redis.redis_url)

    def submit(self, project: model.Project, sources: Mapping[str, Path]) -> str:
        """Queue the deployment of a project; its id. The tars (one per function, perhaps shared) are taken away.

        A function whose ``source`` is the SHA-256 of a tar that was built before needs none. Raises
        `errors.BadRequest` for what can never be built, `errors.Conflict` for buckets where none may be,
        `errors.SourceMissing` for tars that have to be sent,
        `errors.Unavailable` for a full disk and lost Redis.
        """
        checks.check(project, sources)
        bucket_places.settled(project, self._data)
        self._check_known(project, sources)
        id = ids.new_id()
        folder = self._places.deployment(id)
        try:
            with artifacts.out_of_space():
                folder.mkdir(parents=True, mode=0o700)
                with folders.held(folder / "lock"):  # so that no builder that starts takes it for a dead one's
                    _take_in(project, sources, folder)
                    self._enqueue(id, project)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return id

    def _check_known(self, project: model.Project, sources: Mapping[str, Path]) -> None:
        """Raise `errors.SourceMissing` when a function without a source could not be built without it."""
        unsent = [function for function in project.functions if function.name not in sources]
        available = nodes.RedisNodes(self._redis, self._languages).runtimes() if unsent else []
        store = artifacts.Artifacts(self._data.root)
        bundler = bundle.Bundler(self._places, store, self._building.max_artifact_bytes)
        missing = {each.source for each in unsent if not _is_known(each, bundler, available)}
        if missing:
            raise sources_module.missing(sorted(missing))

    def progress(self, deployment_id: str, since: int = 0) -> progress.Deployment:
        """How far a deployment is, or how it ended; with ``since`` the steps that changed after so many changes.

        All steps are told when a new run has begun since then. Raises `errors.NotFound` when it is unknown or a day
        old.
        """
        # The job first: what it says of the end must not be newer than what the history says.
        status = self._status(deployment_id)
        told = history.History(self._connection, self._redis.redis_prefix, deployment_id)
        # From one before: it says what became of the whole where nothing is later.
        found = progress.later(deployment_id, since, told.read(since - 1)) if since else None
        return ended_as(found or progress.changed(_planned(deployment_id, self._connection), told.read()), status)

    def _status(self, id: str) -> rq.job.JobStatus:
        with redis_client.translated():
            found: Any = self._connection.hget(jobs.BuildJob.key_for(id), "status")
        if found is None:
            raise _unknown(id)
        try:
            return rq.job.JobStatus(found.decode())
        except ValueError as error:
            raise _unknown(id) from error

    def close(self) -> None:
        """Drop the connections."""
        self._connection.close()

    def _enqueue(self, id: str, project: model.Project) -> None:
        names = [function.name for function in project.functions]
        # As if they were built and loaded one after the other, which is the longest that it can take.
        loads_s = self._building.load_timeout_ms / 1000 + self._building.build_timeout_s
        with redis_client.translated():
            queue(self._redis, self._connection).enqueue_call(
                jobs.FUNCTION,
                args=(id,),
                job_id=id,
                description=f"deploy {_some(names)}",
                timeout=min(int(loads_s * len(project.functions)) + _GRACE_S, jobs.LONGEST_S),
                result_ttl=KEPT_S,
                failure_ttl=KEPT_S,
                retry=rq.Retry(max=_RUNS - 1),
                meta={jobs.PLANNED: names},
            )


def queue(redis: groups.Redis, connection: redis_py.Redis) -> jobs.BuildQueue:
    """The queue of one platform's deployments. Jobs hold JSON, no pickles."""
    return jobs.BuildQueue(f"{redis.redis_prefix}:builds", connection=connection, serializer=JSONSerializer)


def ended_as(deployment: progress.Deployment, status: rq.job.JobStatus) -> progress.Deployment:
    """What its history says of a deployment, corrected by how RQ saw its job end."""
    if status in _STATES:
        return msgspec.structs.replace(deployment, state=_STATES[status])
    if deployment.state in (progress.State.DONE, progress.State.FAILED):
        return deployment
    return progress.interrupted(deployment)


def _is_known(function: model.FunctionSpec, bundler: bundle.Bundler, available: Sequence[runtimes.Available]) -> bool:
    """Whether an artifact is there. What has no runtime is not: the build says so better once it has the source."""
    try:
        runtime = runtimes.choose(function.config.runtime, available)
    except (errors.BuildFailed, errors.Unavailable):
        return False
    return bundler.known(function, function.source, runtime) is not None


def _planned(id: str, connection: redis_py.Redis) -> progress.Deployment:
    try:
        with redis_client.translated():
            job = jobs.BuildJob.fetch(id, connection=connection, serializer=JSONSerializer)
        return progress.planned(id, job.meta[jobs.PLANNED])
    except (rq.exceptions.NoSuchJobError, LookupError, ValueError) as error:
        raise _unknown(id) from error


def _unknown(id: str) -> errors.NotFound:
    return errors.NotFound(f"no deployment {id}", deployment=id)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} functions"


def _take_in(project: model.Project, sources: Mapping[str, Path], folder: Path) -> None:
    tars: dict[Path, str] = {}
    for function in project.functions:
        path = sources.get(function.name)
        if path is not None and path not in tars:
            tars[path] = f"{len(tars)}.tar"
            # Once for each tar: functions of one source name the same path.
            shutil.move(path, folder / tars[path])
    request = deploy.Uploaded(project=project, tars={name: tars[path] for name, path in sources.items()})
    (folder / "request.json").write_bytes(msgspec.json.encode(request))
