"""What a deployment's progress is kept as: a list in Redis to which each change is added, beside the job.

A step that changes costs the bytes of one step, however many functions there are; and who follows a deployment reads
each change once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import redis

from faas.builds import progress
from faas.link import client as redis_client
from faas.queue import keys as keyring

_encode = msgspec.json.Encoder().encode
# Made here and not at the first use: msgspec 0.22 crashes when two threads are the first to decode a type at once.
_change = msgspec.json.Decoder(progress.Change).decode


class History:
    """The changes of one deployment. Safe to use from several threads."""

    def __init__(self, connection: redis.Redis, prefix: str, id: str) -> None:
        self._redis = connection
        self._key = keyring.Keys(prefix).deployment(id)

    def add(self, changes: Sequence[progress.Change], keep_s: int | None = None) -> None:
        """Add changes, and keep all for so long from now on. Raises `errors.Unavailable`."""
        with redis_client.translated():
            if keep_s is None:
                self._redis.rpush(self._key, *map(_encode, changes))
                return
            # In one step: a key that is made and never told its end would stay for ever.
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.rpush(self._key, *map(_encode, changes))
                pipeline.expire(self._key, keep_s)
                pipeline.execute()

    def read(self, since: int = 0) -> list[progress.Change]:
        """The changes after the first ``since``. Raises `errors.Unavailable`."""
        with redis_client.translated():
            found: Any = self._redis.lrange(self._key, since, -1)
        return [_change(each) for each in found]
