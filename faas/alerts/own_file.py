"""The platform's own alarms: the file `alarms.yaml` in the data directory of a scheduler.

It is read when it has changed. One with faults changes nothing and its faults are kept for `faas alarms ls` to show. On
several machines one file counts: that of the machine whose file came first, until that one holds no alarms any more.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from pathlib import Path

import sqlalchemy as sa

from faas.core import clock, errors, groups, model
from faas.core.manifest import alarms as manifest_alarms
from faas.core.manifest import project, shapes, table, yaml_tree
from faas.store import alarm_changes, alarms

FILE_NAME = "alarms.yaml"

_log = logging.getLogger(__name__)


def parse(raw: bytes, file: str) -> tuple[model.Alarm, ...]:
    """The alarms that a file declares. Raises `errors.ManifestErrors` with all that is wrong with it."""
    reader = shapes.Reader(file)
    found: dict[str, dict[str, object]] = {}
    try:
        root = yaml_tree.parse(raw)
    except yaml_tree.Broken as broken:
        reader.fault(broken.position, (), broken.found, broken.expected)
        raise errors.ManifestErrors(reader.faults) from broken
    if root is not None:
        read = reader.read(table.platform_file(), root, ())
        found = read.get("alarms", {}) if read is not shapes.INVALID else {}
        for fault in manifest_alarms.platform_faults(found):
            reader.fault(reader.places[fault.at[:2]], fault.at, fault.found, fault.expected)
    if reader.faults:
        raise errors.ManifestErrors(reader.faults)
    return manifest_alarms.of_platform(found, project.destination)


class OwnFile:
    """The file of one data directory, as one scheduler follows it."""

    def __init__(self, data: groups.Data, engine: sa.Engine) -> None:
        self._path = data.root / FILE_NAME
        self._origin = f"{socket.gethostname()}:{data.root}"
        self._engine = engine
        self._store = alarms.Alarms(engine)
        self._seen: object = None

    def follow(self) -> None:
        """Take over what has changed since the last time. Blocks. Raises `errors.Unavailable`."""
        seen = _mark(self._path)
        if seen == self._seen:
            return
        self._take(_content(self._path))
        # Last: what could not be written is taken over the next time.
        self._seen = seen

    def _take(self, raw: bytes | None) -> None:
        held = self._store.watch().file
        digest = hashlib.sha256(raw).hexdigest() if raw is not None else ""
        if held.origin not in ("", self._origin):
            if raw is not None:
                _log.warning("alarms_file_ignored", extra={"file": str(self._path), "in_force": held.origin})
            return
        is_known = (held.origin or raw is None) and held.digest == digest
        if is_known and not held.fault:
            return
        try:
            declared = parse(raw or b"", FILE_NAME)
        except errors.ManifestErrors as error:
            _log.error("alarms_file_broken", extra={"file": str(self._path), "reason": error.message})
            refused = alarms.PlatformFile(origin=held.origin, digest=held.digest, fault=error.message)
            alarm_changes.refuse_file(self._engine, refused)
            return
        origin = self._origin if declared else ""
        file = alarms.PlatformFile(origin=origin, digest=digest if declared else "")
        left_out = alarm_changes.of_platform(self._engine, declared, file, clock.now_ms())
        _log.info("alarms_file_taken", extra={"file": str(self._path), "count": len(declared), "left_out": left_out})


def _mark(path: Path) -> object:
    """What differs when a file was written anew; nothing at all when there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            # One byte more than may be, so that a file that is too large is told from one that just fits.
            return file.read(yaml_tree.MAX_BYTES + 1)
    except OSError:
        return None
