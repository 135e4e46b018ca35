"""A copy of what an embedded server holds, as it is at one moment: it forks, and the child writes what it sees.

The copy becomes the base of an append-only file, so that a server starts from it as from its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import redis
import redis.exceptions

from faas.core import clock, errors
from faas.link import client as redis_client

_LOOK_S = 0.05
_DUMP = "dump.rdb"
_FOLDER = "redis/appendonlydir"
_BASE = "appendonly.aof.1.base.rdb"
_INCREMENT = "appendonly.aof.1.incr.aof"

BASE = f"{_FOLDER}/{_BASE}"
"""Where the copy belongs in a data directory."""

REST: Mapping[str, bytes] = {
    f"{_FOLDER}/{_INCREMENT}": b"",
    f"{_FOLDER}/appendonly.aof.manifest": (f"file {_BASE} seq 1 type b\nfile {_INCREMENT} seq 1 type i\n".encode()),
}
"""What has to lie beside it."""


class Saving:
    """Saves the server of ``folder``, over a client."""

    def __init__(self, client: redis.Redis, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def require_own(self) -> None:
        """Raise `errors.Conflict` for a server that writes elsewhere: its files cannot be had."""
        with redis_client.translated():
            said = cast(Mapping[str, str], self._client.config_get("dir"))
        if Path(said.get("dir", "")).resolve() != self._folder.resolve():
            raise errors.Conflict(
                "Redis is not the platform's own: a backup cannot hold its queue",
                hint="add --without-queue, and back Redis up by its own means first (docs/how-to/backup.md)",
            )

    def begin(self) -> bool:
        """Fork; False when another child of the server is at work. When it returns the moment is over."""
        with redis_client.translated():
            try:
                # Without this it would fork whenever it can, and say that it has begun.
                self._client.bgsave(schedule=False)
            except redis.exceptions.ResponseError as error:
                # "Another child process is active", "Background save already in progress", and others' words for it.
                if any(word in str(error).lower() for word in ("progress", "active", "child")):
                    return False
                raise
        return True

    def finish(self, within_s: float = 3_600.0) -> Path:
        """Wait for the file and return its path. Raises `errors.Unavailable` when it could not be written."""
        until = clock.steady_s() + within_s
        while (said := self._persistence())["rdb_bgsave_in_progress"]:
            if clock.steady_s() > until:
                raise errors.Unavailable("Redis does not finish its copy", hint="see `faas doctor`")
            time.sleep(_LOOK_S)
        if said["rdb_last_bgsave_status"] != "ok":
            raise errors.Unavailable("Redis could not write its copy", hint="is the disk of the data directory full?")
        return self._folder / _DUMP

    def forget(self) -> None:
        """Remove the file: a server with an append-only file never reads it."""
        (self._folder / _DUMP).unlink(missing_ok=True)

    def _persistence(self) -> Mapping[str, Any]:
        with redis_client.translated():
            return cast(Mapping[str, Any], self._client.info("persistence"))
