"""Deploys on a disk with little room; run as ``python -m tests.full_disk ROOT REDIS_URL PREFIX FREE_BYTES...``.

ROOT is a small file system of its own. For each number a deployment is queued, the disk is filled until that many bytes
are free, and a builder runs. One line of JSON tells how each ended and what is there afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from faas.builds import deployments, progress
from faas.cli import languages
from faas.core import settings as settings_module
from faas.store import database, functions
from tests import builder
from tests.eventually import eventually_sync
from tests.project_files import function, project, tar


def _fill(root: Path, free: int) -> None:
    room = os.statvfs(root)
    with contextlib.suppress(OSError), (root / "filler").open("wb") as file:
        file.write(bytes(max(0, room.f_bavail * room.f_frsize - free)))


def _deploy(settings: settings_module.Settings, free: int) -> progress.Deployment:
    """Deploy with so much room."""
    builds = deployments.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    files = {"app.py": f"def handler(event, context):\n    return {free}\n", "data.bin": bytes(200_000)}
    id = builds.submit(project(function()), {"hello": tar(settings.data.root / "uploads/hello.tar", files)})
    _fill(settings.data.root, free)
    running = builder.start(settings)
    try:
        told = eventually_sync(lambda: _ended(builds, id), within=30)
    finally:
        running.terminate()
        running.wait()
        builds.close()
    assert told is not None
    return told


def _ended(builds: deployments.Builds, id: str) -> progress.Deployment | None:
    told = builds.progress(id)
    return told if told.state in (progress.State.DONE, progress.State.FAILED) else None


def main() -> None:
    """Do it."""
    root, url, prefix, *room = sys.argv[1:]
    settings = settings_module.of(data_dir=root, redis_url=url, redis_prefix=prefix)
    catalog = functions.Functions(database.open_database(settings.data))
    for free in (int(number) for number in room):
        told = _deploy(settings, free)
        (settings.data.root / "filler").unlink()
        print(json.dumps({"state": told.state, "error": told.error, "left": _left(settings.data.root, catalog)}))


def _left(root: Path, catalog: functions.Functions) -> dict[str, int]:
    """How many of each there are."""
    folders = ("artifacts", "code", "builds", "cache/bundles")
    return {"revisions": len(catalog.revisions("hello")), **{name: _count(root / name) for name in folders}}


def _count(folder: Path) -> int:
    return len(list(folder.glob("*")))


if __name__ == "__main__":
    main()
