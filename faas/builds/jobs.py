"""The one job that RQ runs for us, and what is believed of it.

RQ calls whatever function a job in Redis names, also as a callback, and some of its maintenance reads pickles. So
whoever writes into Redis would run code in the builder. Here a job is read field by field: what is not of the form
that `faas.builds.deployments` writes is no job, and of RQ's maintenance only what such jobs need is done.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import redis
import rq
import rq.exceptions
import rq.job
import rq.registry
import rq.utils
import rq.worker_registration

FUNCTION = "faas.builds.worker.run_deployment"
"""What every job calls."""
PLANNED = "functions"
"""The field of a job's ``meta`` that names the functions of its deployment."""

_LOG = logging.getLogger(__name__)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMES = ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat")
_WORDS = ("status", "origin", "worker_name", "description", "enqueue_at_front_on_retry")
LONGEST_S = 7 * 24 * 3600
"""The longest time that a job may say of itself."""
_NUMBERS = {
    "timeout": LONGEST_S,
    "result_ttl": LONGEST_S,
    "failure_ttl": LONGEST_S,
    "retries_left": 10,
    "number_of_retries": 10,
}
_LONGEST_WORD = 1_000
_MOST_DATA = 4_096
_MOST_META = 128 * 1024


class _Meta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    functions: list[str]


class BuildJob(rq.job.Job):
    """A deployment as RQ keeps it."""

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> BuildJob:
        """The job of an id. Raises `rq.exceptions.NoSuchJobError`, also for what is no id."""
        if not _ID.fullmatch(id):
            raise rq.exceptions.NoSuchJobError(f"{id[:80]!r} is no deployment")
        return cast(BuildJob, super().fetch(id, connection=connection, serializer=serializer))

    def restore(self, raw_data: Mapping[bytes | str, bytes]) -> None:
        """Take over what Redis holds. Raises `rq.exceptions.NoSuchJobError` for what `believed` refuses.

        RQ passes over a job that it is told does not exist.
        """
        try:
            super().restore(believed(self.id, raw_data))
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            _LOG.warning("job_refused", extra={"job": self.id[:80], "reason": str(error)[:200]})
            raise rq.exceptions.NoSuchJobError(f"{self.id[:80]!r} is no deployment") from error


class _Started(rq.registry.StartedJobRegistry):
    """What runs. RQ's own makes a plain queue when it cleans up, which would believe what Redis says of dependents."""

    def get_queue(self) -> BuildQueue:
        """The queue that these jobs came from."""
        return BuildQueue(self.name, connection=self.connection, serializer=self.serializer)


class BuildQueue(rq.Queue):
    """The queue of deployments. None waits for another, so there is nothing to enqueue after one."""

    job_class = BuildJob

    @property
    def started_job_registry(self) -> _Started:
        """The jobs that run."""
        return _Started(queue=self, job_class=self.job_class, serializer=self.serializer)

    def enqueue_dependents(self, *_args: Any, **_kwargs: Any) -> dict[str, list[str]]:
        """None: whoever says otherwise in Redis is not believed."""
        return {}


def believed(id: str, raw: Mapping[bytes | str, bytes]) -> dict[bytes | str, bytes]:
    """The fields of a job that counts, checked; without callbacks, results and whatever else RQ would follow.

    Raises `ValueError` or `LookupError` for a job that is none of ours.
    """
    found = {key.decode() if isinstance(key, bytes) else key: value for key, value in raw.items()}
    if not _ID.fullmatch(id):
        raise ValueError("its id is none of a deployment")
    kept: dict[bytes | str, bytes] = {b"data": _called(id, found["data"])}
    for field in (*_TIMES, *_WORDS):
        if field in found:
            kept[field.encode()] = _word(field, found[field])
    for field, most in _NUMBERS.items():
        if field in found:
            kept[field.encode()] = _number(field, found[field], most)
    if "meta" in found:
        kept[b"meta"] = _meta(found["meta"])
    return kept


def clean(worker: rq.Worker, queue: rq.Queue) -> None:
    """What RQ does every ten minutes, as far as deployments need it: jobs whose worker has gone, and workers."""
    if queue.acquire_maintenance_lock():
        for registry in (queue.finished_job_registry, queue.started_job_registry, queue.failed_job_registry):
            registry.cleanup()
        rq.worker_registration.clean_worker_registry(queue)
        queue.intermediate_queue.cleanup(worker, queue)
        queue.release_maintenance_lock()  # type: ignore[no-untyped-call]


def _called(id: str, data: bytes) -> bytes:
    """The call, unpacked within bounds: it is `FUNCTION` with the deployment's id."""
    wanted = msgspec.json.encode([FUNCTION, None, [id], {}])
    given = _unpacked(data)
    # By what it says and not by its bytes: RQ's JSON has blanks in it, and ours none.
    if msgspec.json.decode(given) != msgspec.json.decode(wanted):
        raise ValueError("it calls something else than a deployment")
    return wanted


def _unpacked(data: bytes) -> bytes:
    if len(data) > _MOST_DATA:
        raise ValueError("its call is too long")
    try:
        # No further than that, whatever a few bytes would become.
        return zlib.decompressobj().decompress(data, _MOST_DATA)
    except zlib.error:
        return data


def _word(field: str, value: bytes) -> bytes:
    if len(value) > _LONGEST_WORD:
        raise ValueError(f"its {field} is too long")
    text = value.decode()
    if field == "status":
        rq.job.JobStatus(text)
    elif field in _TIMES and text:
        rq.utils.str_to_date(value)
    elif field == "enqueue_at_front_on_retry" and text not in ("", "0", "1"):
        raise ValueError(f"its {field} is {text[:20]!r}")
    return value


def _number(field: str, value: bytes, most: int) -> bytes:
    if value and not (re.fullmatch(rb"[0-9]{1,9}", value) and int(value) <= most):
        raise ValueError(f"its {field} is {value[:20]!r}")
    return value


def _meta(value: bytes) -> bytes:
    if len(value) > _MOST_META:
        raise ValueError("its meta is too long")
    return msgspec.json.encode(msgspec.json.decode(value, type=_Meta))
