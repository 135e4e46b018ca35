"""One bucket's folder under watchdog: what happens there becomes signs.

Where the kernel has no watches left, or the folder cannot be watched, the folder is compared with itself every few
seconds instead. When the kernel's queue of events overflows, ``lost`` is called: then the bucket has to be compared.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog import events
from watchdog.observers import api, inotify, inotify_c, polling

from faas.buckets import port

_log = logging.getLogger(__name__)

_POLL_S = 2.0
_PASSING = ".faas-"
_LIMITS = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE})
_EVENTS: list[type[events.FileSystemEvent]] = [
    events.FileClosedEvent,
    events.FileMovedEvent,
    events.FileCreatedEvent,
    events.FileDeletedEvent,
    events.DirMovedEvent,
    events.DirCreatedEvent,
    events.DirDeletedEvent,
]

OnObject = Callable[[str, port.Sign], None]
OnFolder = Callable[[str], None]
OnGone = Callable[[str], None]


class FolderWatch(events.FileSystemEventHandler):
    """A running watch. Its callbacks run in watchdog's threads; keys and prefixes are relative to the bucket.

    ``on_object`` gets a key and its sign (also when the object has gone), ``on_folder`` the prefix of a folder that has
    appeared, ``on_gone`` the key or prefix of what has gone, before the others; ``lost`` says that events are missing.
    """

    def __init__(
        self,
        root: Path,
        on_object: OnObject,
        on_folder: OnFolder,
        lost: Callable[[], None],
        on_gone: OnGone = lambda _: None,
    ) -> None:
        self._root = os.fspath(root.resolve())
        self._on_object = on_object
        self._on_folder = on_folder
        self._on_gone = on_gone
        self._lost = lost
        self._inode = Path(self._root).stat().st_ino
        self.limited = False
        self._observer: api.BaseObserver | None = None

    def start(self, *, polling_only: bool = False) -> None:
        """Begin; blocks until every folder is watched. Raises `OSError` when the bucket's own folder is not there."""
        if not polling_only:
            try:
                self._observe(_InotifyObserver(self._limit, self._lost))
            except OSError as error:
                # No watches are left on this machine; all else is a fault of the folder.
                if error.errno not in _LIMITS:
                    raise
                self.limited = True
            if not self.limited:
                return
            self.stop()
            _log.warning(
                "watch_limit_reached", extra={"folder": self._root, "hint": "raise fs.inotify.max_user_watches"}
            )
        self._observe(polling.PollingObserver(timeout=_POLL_S))

    def _observe(self, observer: api.BaseObserver) -> None:
        self._observer = observer
        kinds = _EVENTS if not isinstance(observer, polling.PollingObserver) else None
        observer.schedule(self, self._root, recursive=True, event_filter=kinds)
        try:
            observer.start()
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """End the watch and its threads."""
        observer, self._observer = self._observer, None
        if observer is None:
            return
        observer.stop()
        if observer.is_alive():
            observer.join()

    @property
    def is_polling(self) -> bool:
        """Whether the folder is compared with itself for want of kernel watches."""
        return isinstance(self._observer, polling.PollingObserver)

    def is_useful(self) -> bool:
        """Whether all that happens in the bucket is still heard of; another watch is needed if not."""
        return self.is_current() and (not self.limited or self.is_polling)

    def is_current(self) -> bool:
        """Whether the folder is still the one that is watched, and the watch still runs.

        Not when the folder was removed (even when it was made again) or a thread of the watch has died.
        """
        if not self._runs():
            return False
        try:
            return Path(self._root).stat().st_ino == self._inode
        except OSError:
            return False

    def _runs(self) -> bool:
        observer = self._observer
        threads = [observer, *observer.emitters] if observer is not None else []
        if isinstance(observer, _InotifyObserver):
            # A thread that reads the kernel's events may die while the observer goes on and hears nothing.
            threads.append(observer.inotify)
        return bool(threads) and all(thread.is_alive() for thread in threads)

    def _limit(self) -> None:
        self.limited = True

    def on_any_event(self, event: events.FileSystemEvent) -> None:
        """Translate one event."""
        source, target = self._key(event.src_path), self._key(event.dest_path)
        if event.is_directory:
            if source and isinstance(event, events.DirMovedEvent | events.DirDeletedEvent):
                self._on_gone(source + "/")
            appeared = target if isinstance(event, events.DirMovedEvent) else source
            # What is in a folder that appears may have come before it was watched.
            if appeared and not isinstance(event, events.DirDeletedEvent | events.DirModifiedEvent):
                self._on_folder(appeared + "/")
        elif isinstance(event, events.FileMovedEvent):
            self._moved(source, target)
        elif source:
            closed = isinstance(event, events.FileClosedEvent)
            if isinstance(event, events.FileDeletedEvent):
                self._on_gone(source)
            self._on_object(source, port.Sign.CLOSED if closed else port.Sign.FOUND)

    def _moved(self, source: str, target: str) -> None:
        if source:
            self._on_gone(source)
            self._on_object(source, port.Sign.FOUND)
        if target:
            # What has such a name is being published (`passing`), and gets its own when it is whole.
            by_platform = source.rpartition("/")[2].startswith(_PASSING)
            self._on_object(target, port.Sign.PUBLISHED if by_platform else port.Sign.CLOSED)

    def _key(self, path: str | bytes) -> str:
        text = os.fsdecode(path)
        return text[len(self._root) + 1 :] if text.startswith(self._root + "/") else ""


class _Inotify(inotify_c.InotifyFD):
    """An inotify instance that tells of the two things that watchdog keeps to itself.

    A folder that appears within one that is just being watched is met twice, by the walk and by its own event: watching
    it again is as it should be, and nothing to warn of.
    """

    def __init__(self, limit: Callable[[], None], lost: Callable[[], None]) -> None:
        self._limit = limit
        self._lost = lost
        super().__init__()

    def add_callback(
        self,
        path: bytes,
        mask: inotify_c.Mask,
        callback: inotify_c.WatchCallback,
        id_: inotify_c.CallbackId,
    ) -> inotify_c.WatchDescriptor:
        try:
            with self._lock:
                watch = self._get_or_create_watch(path, mask)
                watch.callbacks[id_] = callback
                return watch.wd
        except OSError as error:
            if error.errno in _LIMITS:
                self._limit()
            raise

    def handle_event(self, event: inotify_c.InotifyEvent) -> None:
        super().handle_event(event)
        if event.is_queue_overflow:
            self._lost()


class _InotifyObserver(api.BaseObserver):
    """watchdog's observer with moves from and to outside told as moves, over an instance of its own."""

    def __init__(self, limit: Callable[[], None], lost: Callable[[], None]) -> None:
        self.inotify = _Inotify(limit, lost)
        self.inotify.start()
        super().__init__(inotify.InotifyFullEmitter, timeout=1, inotify_fd=self.inotify)

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self.inotify.stop()
        self.inotify.join()
