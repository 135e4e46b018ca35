"""What is seen in a bucket's folder, kept until the one who listens has dealt with it."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable

from faas.buckets import port
from faas.buckets.folder import tree as trees
from faas.buckets.folder import watch

_MOST_KEPT = 100_000
"""Keys that wait to be told. When there are more, the bucket is compared as a whole instead."""

_MOST_TOLD = 1_000


class FolderFeed:
    """The signs of one folder; a `port.Feed`. A cursor is good for this feed only."""

    def __init__(self, tree: trees.Tree, wake: Callable[[], None]) -> None:
        self._tree = tree
        self._wake = wake
        self._watch: watch.FolderWatch | None = None
        self._using = threading.Lock()
        self._is_over = False
        self._lock = threading.Lock()
        self._signs: dict[str, port.Sign] = {}
        self._prefixes: set[str] = set()
        self._gone: set[str] = set()
        self._told = port.Changes("")
        self._before = ""
        self._id = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def since(self, cursor: str) -> port.Changes:
        """See `port.Feed.since`."""
        with self._using:
            if self._is_over:
                return port.Changes(cursor)
            with self._tree.translated():
                self._keep_watching()
            with self._lock:
                self._settle(cursor)
                return self._tell(cursor)

    def close(self) -> None:
        """See `port.Feed.close`."""
        # A thread cannot be cancelled: what it starts must have started before it can be ended.
        with self._using:
            self._is_over = True
            self._stop()

    def _keep_watching(self) -> None:
        """Watch anew when the folder is another one, a thread of the watch died, or it is too large to be watched."""
        watching = self._watch
        if watching is not None and watching.is_useful():
            return
        polling_only = watching is not None and watching.limited
        self._stop()
        with self._tree.opened_root(make=True):
            pass  # it is there, and may be watched
        started = watch.FolderWatch(self._tree.root, self._on_object, self._on_folder, self._lost, self._on_gone)
        started.start(polling_only=polling_only)
        self._watch = started
        # What happened before the new watch ran is known to nobody: compare.
        with self._lock:
            self._forget()

    def _stop(self) -> None:
        watching, self._watch = self._watch, None
        if watching is not None:
            watching.stop()

    def _settle(self, cursor: str) -> None:
        """Drop what was told, when the new cursor says so; take it back, when the old one comes again."""
        told, self._told = self._told, port.Changes(self._told.cursor)
        # A cursor of another feed, or none: what its owner has heard is not known here.
        if not cursor or cursor not in (told.cursor, self._before):
            self._forget()
        elif cursor == self._before:
            self._signs = {**told.signs, **{key: self._stronger(key, told) for key in self._signs}}
            self._prefixes |= told.prefixes
            self._gone |= told.gone

    def _stronger(self, key: str, told: port.Changes) -> port.Sign:
        return max(self._signs[key], told.signs.get(key, port.Sign.FOUND))

    def _tell(self, cursor: str) -> port.Changes:
        if self._is_idle:
            return self._told
        keys = list(itertools.islice(self._signs, _MOST_TOLD))
        self._before = cursor
        self._told = port.Changes(
            f"{self._id}-{next(self._numbers)}",
            {key: self._signs.pop(key) for key in keys},
            frozenset(self._prefixes),
            frozenset(self._gone),
        )
        self._prefixes.clear()
        self._gone.clear()
        return self._told

    @property
    def _is_idle(self) -> bool:
        return not self._signs and not self._prefixes

    def _forget(self) -> None:
        self._signs.clear()
        self._gone.clear()
        self._prefixes = {port.EVERYTHING}

    # -- told by the watch, in threads of its own

    def _on_object(self, key: str, sign: port.Sign) -> None:
        if _is_hidden(key):
            return
        with self._lock:
            was_idle = self._is_idle
            # A weaker sign after a stronger one takes nothing back: it was closed, whatever is said of it later.
            self._signs[key] = max(sign, self._signs.get(key, sign))
            if len(self._signs) > _MOST_KEPT:
                self._forget()
        # Who is awake asks until there is nothing more, so an event of many costs no more than a line here.
        if was_idle:
            self._wake()

    def _on_folder(self, prefix: str) -> None:
        if _is_hidden(prefix):
            return
        with self._lock:
            self._prefixes.add(prefix)
            if len(self._prefixes) > _MOST_KEPT:
                self._forget()
        self._wake()

    def _on_gone(self, name: str) -> None:
        """What is gone is told before its sign, or with it; a folder has no other sign, and is listed again."""
        if _is_hidden(name):
            return
        with self._lock:
            self._gone.add(name)
            if len(self._gone) > _MOST_KEPT:
                self._forget()
        if name.endswith("/"):
            self._on_folder(name)

    def _lost(self) -> None:
        with self._lock:
            self._forget()
        self._wake()


def _is_hidden(key: str) -> bool:
    """Whether it is no object's: a name in it starts with a dot."""
    return key.startswith(".") or "/." in key
