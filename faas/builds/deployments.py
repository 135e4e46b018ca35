"""Deployments as RQ jobs: taken in by `Builds`, their progress kept with the job.

A deployment's id is its job's id. Its sources and its project (which may hold secrets in `env`) wait in the data
directory and not in Redis; they are gone when it has ended. How it went is kept for a day.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import redis
import rq
import rq.exceptions
import rq.job
from rq.serializers import JSONSerializer

from faas import artifacts
from faas.builds import checks, deploy, folders, progress
from faas.core import errors, ids, model
from faas.core import settings as settings_module
from faas.link import client as redis_client

KEPT_S = 24 * 3600
_RUNS = 3
_GRACE_S = 120
_JOB = "faas.builds.worker.run_deployment"
_STATES = {
    rq.job.JobStatus.QUEUED: progress.State.QUEUED,
    rq.job.JobStatus.SCHEDULED: progress.State.QUEUED,
    rq.job.JobStatus.DEFERRED: progress.State.QUEUED,
    rq.job.JobStatus.CREATED: progress.State.QUEUED,
    rq.job.JobStatus.STARTED: progress.State.RUNNING,
}


class Builds:
    """Takes deployments in and tells how far they are. Safe to use from several threads."""

    def __init__(self, settings: settings_module.Settings) -> None:
        self._settings = settings
        self._places = folders.Folders(settings.root)
        self._redis = redis.Redis.from_url(settings.redis_url)

    def submit(self, project: model.Project, sources: Mapping[str, Path]) -> str:
        """Queue the deployment of a project; its id. The tars (one per function, perhaps shared) are taken away.

        Raises `errors.BadRequest` for what can never be built, `errors.Unavailable` for a full disk and lost Redis.
        """
        checks.check(project, sources)
        id = ids.new_id()
        folder = self._places.deployments / id
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

    def progress(self, deployment_id: str) -> progress.Deployment:
        """How far a deployment is, or how it ended. Raises `errors.NotFound` when it is unknown or a day old."""
        try:
            with redis_client.translated():
                job = rq.job.Job.fetch(deployment_id, connection=self._redis, serializer=JSONSerializer)
            return state_of(job)
        except (rq.exceptions.NoSuchJobError, LookupError, ValueError) as error:
            raise errors.NotFound(f"no deployment {deployment_id}", deployment=deployment_id) from error

    def close(self) -> None:
        """Drop the connections."""
        self._redis.close()

    def _enqueue(self, id: str, project: model.Project) -> None:
        planned = progress.planned(id, [function.name for function in project.functions])
        loads_s = self._settings.load_timeout_ms / 1000 + self._settings.build_timeout_s
        with redis_client.translated():
            queue(self._settings, self._redis).enqueue_call(
                _JOB,
                args=(id,),
                job_id=id,
                description=f"deploy {', '.join(function.name for function in project.functions)}",
                timeout=int(loads_s * len(project.functions)) + _GRACE_S,
                result_ttl=KEPT_S,
                failure_ttl=KEPT_S,
                retry=rq.Retry(max=_RUNS - 1),
                meta=meta_of(planned),
            )


def queue(settings: settings_module.Settings, connection: redis.Redis) -> rq.Queue:
    """The queue of one platform's deployments. Jobs hold JSON, no pickles."""
    return rq.Queue(f"{settings.redis_prefix}:builds", connection=connection, serializer=JSONSerializer)


def meta_of(deployment: progress.Deployment) -> dict[str, Any]:
    """A deployment as the ``meta`` of its job."""
    return {"deployment": msgspec.to_builtins(deployment)}


def state_of(job: rq.job.Job) -> progress.Deployment:
    """What a job's ``meta`` says, corrected by how RQ saw the job end. Raises `LookupError` for a job not of ours."""
    deployment = msgspec.convert(job.meta["deployment"], progress.Deployment)
    status = job.get_status(refresh=False)
    if status in _STATES:
        return msgspec.structs.replace(deployment, state=_STATES[status])
    if deployment.state in (progress.State.DONE, progress.State.FAILED):
        return deployment
    return progress.interrupted(deployment)


def _take_in(project: model.Project, sources: Mapping[str, Path], folder: Path) -> None:
    tars: dict[Path, str] = {}
    for function in project.functions:
        path = sources[function.name]
        if path not in tars:
            tars[path] = f"{len(tars)}.tar"
            shutil.move(path, folder / tars[path])
    request = deploy.Request(
        project=project, tars={function.name: tars[sources[function.name]] for function in project.functions}
    )
    (folder / "request.json").write_bytes(msgspec.json.encode(request))
