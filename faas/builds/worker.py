"""The builder: one RQ worker that runs deployments, each in a process of its own.

A deployment whose process is interrupted (the builder stops, is killed, or the machine goes down) goes back to the
queue and starts anew, at most twice; layers and artifacts that it finished are found again.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import redis as redis_py
import rq
import rq.job
import rq.timeouts
import rq.utils
from rq.serializers import JSONSerializer

from faas import artifacts
from faas.builds import deploy, deployments, folders, history, jobs, nodes, progress
from faas.core import errors, groups, ids
from faas.link import client as redis_client
from faas.runtimes import children, table
from faas.store import database, functions

_LOG = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1
_RETRY = rq.Retry(max=2, enqueue_at_front=True)
_AGAIN_AFTER_S = 1
_STOPS = {signal.SIGTERM, signal.SIGINT}
_NOT_ENDED = (rq.job.JobStatus.QUEUED, rq.job.JobStatus.STARTED)

Job = rq.job.Job
MakeDeployer = Callable[[], contextlib.AbstractContextManager[deploy.Deployer]]


class Interrupted(SystemExit):
    """The builder stops. A SystemExit, because an event loop lets only that (and KeyboardInterrupt) through."""


class _Runner(msgspec.Struct, frozen=True):
    data: groups.Data
    redis: groups.Redis
    make: MakeDeployer


# RQ calls its jobs by their import path; this is how the worker that calls tells them what they work on.
_RUNNER: contextvars.ContextVar[_Runner] = contextvars.ContextVar("runner")


def worker_main(
    data: groups.Data,
    redis: groups.Redis,
    building: groups.Building,
    destinations: groups.Destinations,
    runtimes: table.Runtimes,
    place: children.ProgramPlace | None = None,
) -> None:
    """Run deployments of these languages until SIGTERM or SIGINT. Call it from the main thread.

    ``place`` is where their programs run; without one they are limited children of ours.

    While Redis is away it waits. Raises `errors.Unavailable` when Redis does not answer at the start.
    """

    @contextlib.contextmanager
    def deployer() -> Iterator[deploy.Deployer]:
        engine = database.open_database(data)
        try:
            catalog, reached = functions.Functions(engine), nodes.RedisNodes(redis, runtimes)
            yield deploy.Deployer(data, building, destinations, catalog, reached, place)
        finally:
            engine.dispose()

    work(data, redis, deployer)


def work(data: groups.Data, redis: groups.Redis, make: MakeDeployer) -> None:
    """`worker_main` with the deployer's ports chosen by the caller."""
    # RQ waits for minutes in one read; redis-py would give it up after five seconds and log an error each time.
    connection = redis_py.Redis.from_url(redis.redis_url, socket_timeout=None)
    queue = deployments.queue(redis, connection)
    _RUNNER.set(_Runner(data, redis, make))
    with contextlib.suppress(Interrupted):
        _hear_stops()
        with redis_client.translated():
            connection.ping()
        # It comes back when it has lost Redis.
        while not _work(data, make, queue):
            _hear_stops()
            _await_redis(connection)


def _work(data: groups.Data, make: MakeDeployer, queue: rq.Queue) -> bool:
    """Take up what another builder left, then what comes; whether it was asked to stop, and has not lost Redis."""
    worker = BuildWorker(
        [queue],
        connection=queue.connection,
        serializer=JSONSerializer,
        job_class=jobs.BuildJob,
        queue_class=jobs.BuildQueue,
        log_job_description=False,
    )
    try:
        with make() as deployer:
            # Before RQ's loop: what a killed builder left is put back into the queue from which that loop takes.
            deployer.sweep()
            recover(data, queue, deployer)
        worker.work(logging_level="WARNING")
    except redis_py.exceptions.ConnectionError as error:
        _LOG.warning("builder_lost_redis", extra={"error": str(error)})
    return worker.stopping


def _hear_stops() -> None:
    """From here on a stop raises `Interrupted`, until RQ's own handlers are in place."""
    for stop in _STOPS:
        signal.signal(stop, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _await_redis(connection: redis_py.Redis) -> None:
    _LOG.warning("builder_awaits_redis")
    while True:
        with contextlib.suppress(redis_py.exceptions.ConnectionError):
            connection.ping()
            return
        time.sleep(_AGAIN_AFTER_S)


class BuildWorker(rq.Worker):
    """RQ's worker, except that a stop does not wait for a deployment that may take minutes: it goes back.

    Signals to stop are held back where RQ could not act on them: while it registers, and while it forks.
    """

    # RQ waits up to a minute between its tries, and a deploy would wait as long after Redis is back.
    max_connection_wait_time = 5.0

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Register. A stop is held back until the loop runs, since only the loop signs off again."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        super().bootstrap(*args, **kwargs)

    def subscribe(self) -> None:
        """Take no commands through Redis: what RQ would start for them is a thread, and we fork."""

    def clean_registries(self) -> None:
        """Do of RQ's maintenance what deployments need: the rest believes what Redis says (see `faas.builds.jobs`)."""
        for queue in self.queues:
            jobs.clean(self, queue)
        self.last_cleaned_at = rq.utils.now()  # type: ignore[assignment]

    def clean_group_registries(self) -> None:
        """Do nothing: deployments are in no groups."""

    def teardown(self) -> None:
        """Sign off, unless Redis has gone: then the registration lapses by itself."""
        with contextlib.suppress(redis_py.exceptions.ConnectionError):
            super().teardown()  # type: ignore[no-untyped-call]

    def check_for_suspension(self, burst: bool) -> None:
        """The first thing that the loop does each time."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        super().check_for_suspension(burst)

    def fork_work_horse(self, job: Job, queue: rq.Queue) -> None:
        """Start the deployment's process. A stop waits for it to be known, or it would not be told of the stop."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        super().fork_work_horse(job, queue)
        # Asked to while it was held back: RQ knew of no process then that it could have told.
        if self.stopping:
            self._interrupt_horse()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Run a deployment to its end, and remove its folder when its process could not."""
        super().execute_job(job, queue)
        runner = _RUNNER.get()
        if not ids.is_id(job.id):  # anybody's word: it may name any folder, and this one is removed
            return
        # The process may have been killed with all that it held.
        folder = folders.BuildFolders(runner.data.root).deployment(job.id)
        if folder.is_dir() and not self.stopping:
            with runner.make() as deployer:
                _sweep(folder, queue, deployer)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._shutdown_requested_date is not None

    def handle_warm_shutdown_request(self) -> None:
        """Interrupt the deployment that runs."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self._interrupt_horse()

    def _interrupt_horse(self) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def setup_work_horse_signals(self) -> None:
        """In the deployment's process: die when the worker is killed, and clean up when it stops.

        SIGTERM stays held back, as `fork_work_horse` left it, except inside `_interruptible`.
        """
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self.pid:  # the worker was killed before we asked to die with it
            os.kill(os.getpid(), signal.SIGKILL)
        signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for stop in _STOPS:
        # A second one must not interrupt what the first has begun to clean up.
        signal.signal(stop, signal.SIG_IGN)
    raise Interrupted


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let a stop raise `Interrupted` inside the block, and only there: RQ's own code takes it for a failed job."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def run_deployment(id: str) -> rq.Retry | None:
    """The RQ job. Returns a `rq.Retry` when it was interrupted; every other end is in the job's ``meta``."""
    job = rq.get_current_job()
    runner = _RUNNER.get()
    folder = folders.BuildFolders(runner.data.root).deployment(id) if ids.is_id(id) else None
    # Whoever writes into Redis may name any job; only those that were taken in have a folder.
    if job is None or job.id != id or folder is None or not folder.is_dir():
        _LOG.warning("deployment_gone", extra={"deployment": id})
        return None
    with folders.held(folder / "lock"):
        try:
            with _interruptible():
                _run(runner, job, folder)
        except Interrupted:
            _LOG.warning("deployment_interrupted", extra={"deployment": id})
            shutil.rmtree(folder / "work", ignore_errors=True)
            return _RETRY
        # A full disk may have kept the catalog from discarding revisions: the next builder that starts does it.
        shutil.rmtree(folder / "work" if (folder / deploy.JOURNAL).exists() else folder, ignore_errors=True)
    return None


def _run(runner: _Runner, job: Job, folder: Path) -> None:
    told = history.History(job.connection, runner.redis.redis_prefix, job.id)
    steps = progress.Progress(lambda changes: told.add(changes, _keep_s(job, changes)))
    shutil.rmtree(folder / "work", ignore_errors=True)
    try:
        steps.begin()
        request = msgspec.json.decode((folder / "request.json").read_bytes(), type=deploy.Uploaded)
        with artifacts.out_of_space(), runner.make() as deployer:
            steps.end(deployer.deploy(request, folder, steps))
        _LOG.info("deployment_done", extra={"deployment": job.id})
    except errors.FaasError as error:
        _LOG.info("deployment_failed", extra={"deployment": job.id, "error": error.message})
        steps.fail(error)
    except rq.timeouts.BaseTimeoutException:
        steps.fail(errors.BuildFailed("the deployment took too long", hint="deploy fewer functions at once"))
    except Exception:  # noqa: BLE001 - whatever is wrong with the platform, who waits gets an answer
        _LOG.exception("deployment_crashed", extra={"deployment": job.id})
        unknown = errors.FaasError("the platform failed to deploy this", hint="see the builder's log")
        steps.fail(artifacts.full() if artifacts.is_full(runner.data.root) else unknown)


def _keep_s(job: Job, changes: Sequence[progress.Change]) -> int | None:
    """How long to keep what is told, said when a run begins, for its longest life, and again when it has ended."""
    states = {change.state for change in changes}
    if progress.State.RUNNING in states:
        return int(job.timeout or 0) + deployments.KEPT_S
    return deployments.KEPT_S if states != {None} else None


def recover(data: groups.Data, queue: rq.Queue, deployer: deploy.Deployer) -> None:
    """Put back what a killed builder was at, and remove the folders of deployments that have ended.

    A deployment runs exactly while its folder's lock is held, so nothing that another builder runs is touched.
    """
    deployments_left = folders.BuildFolders(data.root).deployments
    left = sorted(deployments_left.iterdir()) if deployments_left.is_dir() else []
    for folder in left:
        with folders.held_if_free(folder / "lock") as free:
            if free:
                _put_back(folder, queue)
    queue.started_job_registry.cleanup()  # what was put back as often as may be fails here
    for folder in left:
        _sweep(folder, queue, deployer)


def _sweep(folder: Path, queue: rq.Queue, deployer: deploy.Deployer) -> None:
    """Remove what a deployment that has ended left, which is nothing unless its process was killed."""
    with folders.held_if_free(folder / "lock") as free:
        if free and _status(queue, folder.name) not in _NOT_ENDED:
            _LOG.warning("deployment_swept", extra={"deployment": folder.name})
            deployer.forget(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _put_back(folder: Path, queue: rq.Queue) -> None:
    status = _status(queue, folder.name)
    if status == rq.job.JobStatus.STARTED:
        _LOG.warning("deployment_recovered", extra={"deployment": folder.name})
        _expire(queue, folder.name)
    # RQ moves a job there before its worker has it: one that was killed in between is in no queue.
    elif status == rq.job.JobStatus.QUEUED and queue.connection.lrem(queue.intermediate_queue_key, 1, folder.name):
        queue.push_job_id(folder.name, at_front=True)


def _status(queue: rq.Queue, id: str) -> rq.job.JobStatus | None:
    job = queue.fetch_job(id)
    return job.get_status(refresh=False) if job else None


def _expire(queue: rq.Queue, id: str) -> None:
    """Let RQ see at once that a job's worker has gone; by itself it would after a minute and a half."""
    registry = queue.started_job_registry
    members: list[Any] = [f"{job}:{execution}" for job, execution in registry.get_job_and_execution_ids(cleanup=False)]
    for member in members:
        if member.startswith(f"{id}:"):
            # The score is when its worker was to have said again that it lives.
            queue.connection.zadd(registry.key, {member: 1})
