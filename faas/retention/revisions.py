"""Old revisions, and the artifacts that no revision refers to.

A revision goes in three steps, each of which may be the last before a crash::

    forgotten in Redis     in one script, while nothing of it is there; the next look does it again, to no effect
    removed from SQL       one revision less refers to the artifact
    artifact removed       when none does; whoever builds the same again finds that it is gone, and makes it

It is safe because the revision was superfluous a while ago too, so nobody is about to send to it; because every node
knows the catalog as it is; and because no deploy holds the lock of its function, or of its artifact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from faas import artifacts
from faas.builds import bundle, folders
from faas.core import clock, groups, keeping
from faas.core.values import numbers
from faas.queue import retiring
from faas.queue import server as servers
from faas.retention import policy
from faas.store import kept, past

GRACE_S = 600.0
"""For how long a revision has been superfluous when it goes: whoever resolved it before has sent to it long since."""


class Revisions:
    """Removes what no function needs, of one data directory's platform."""

    def __init__(
        self,
        root: Path,
        retention: groups.Retention,
        server: servers.RedisServer,
        revisions: past.Past,
        notes: kept.RemovalNotes,
        grace_s: float = GRACE_S,
    ) -> None:
        self._retention = retention
        self._server = server
        self._past = revisions
        self._notes = notes
        self._grace_s = grace_s
        self._places = folders.BuildFolders(root)
        self._since: dict[str, float] = {}

    async def look(self, now_ms: int, terms: keeping.Terms) -> None:
        """Remove old revisions, and what Redis still has of those that are gone. Raises `errors.Unavailable`."""
        rows = await asyncio.to_thread(self._past.all)

        def keep_ms(function: str) -> int:
            return terms.of_function(keeping.KeepKind.REVISIONS, function).keep_ms

        found = policy.superfluous(rows, self._retention.keep_revisions, keep_ms, now_ms)
        for row in self._for_a_while(found):
            await self._remove(row)
        await self._forget_the_gone(rows)

    def _for_a_while(self, found: Iterable[past.Row]) -> list[past.Row]:
        """The artifacts that were superfluous a while ago, too."""
        now = clock.steady_s()
        # By the steady clock of this process: after a restart it waits anew, which costs some minutes of disk.
        self._since = {row.ref: self._since.get(row.ref, now) for row in found}
        return [row for row in found if now - self._since[row.ref] >= self._grace_s]

    async def _remove(self, row: past.Row) -> None:
        lock = self._places.lock("function", row.function)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with folders.held_if_free(lock) as no_deploy:
            # Asked again under the lock: a deploy may have made it current since the list was read.
            if not no_deploy or await asyncio.to_thread(self._past.is_needed, row):
                return
            # Redis first: it refuses while something of the revision waits or runs, and then the row stays, too.
            if await retiring.retire(self._server, row.ref, counted_on=row.current is not None):
                await asyncio.to_thread(self._past.drop, row)

    async def _forget_the_gone(self, rows: Iterable[past.Row]) -> None:
        """What a late node wrote of a revision after it was removed, and the sums of functions that have ended."""
        known = {row.ref for row in rows}
        going_on = {row.function for row in rows if row.current is not None}
        for ref in await retiring.refs(self._server):
            name, _, number = ref.rpartition("@")
            is_sum = numbers.whole(number) == retiring.FORGOTTEN and name in going_on
            if ref not in known and not is_sum:
                await retiring.retire(self._server, ref, counted_on=name in going_on)


class Bundles:
    """Removes artifacts, packed and unpacked."""

    def __init__(self, root: Path, revisions: past.Past, notes: kept.RemovalNotes, max_artifact_bytes: int) -> None:
        self._store = artifacts.Artifacts(root)
        self._places = folders.BuildFolders(root)
        self._bundler = bundle.Bundler(self._places, self._store, max_artifact_bytes)
        self._past = revisions
        self._notes = notes

    def look(self) -> None:
        """Remove what no revision refers to and no deployment holds, and what killed processes left half-written."""
        self._store.sweep()
        sizes = self._store.sizes()
        for digest in sorted(sizes.keys() - self._past.artifacts()):
            if self._remove(digest):
                self._notes.freed(kept.ARTIFACTS, 1, sizes.pop(digest))
        self._bundler.forget_removed()
        self._notes.found(kept.ARTIFACTS, len(sizes), sum(sizes.values()))

    def _remove(self, digest: str) -> bool:
        lock = self._places.lock("artifact", digest)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with folders.held_if_free(lock) as not_held:
            # Looked up again under the lock: a deploy that held it a moment ago may have made a revision of it.
            if not not_held or digest in self._past.artifacts():
                return False
            self._store.remove(digest)
        return True
