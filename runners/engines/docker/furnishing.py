"""What a sandbox finds in its folders when it starts: an agent of its own, and folders that no other user may enter.

Two containers that see one file can talk through it although neither may write: by locks on it (`flock`, `fcntl`), and
by watching (`inotify`) what the other reads. So a file that many would see is copied for each.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runners.engines import folder


def furnish(own: folder.Folder, agent: Path, owner: int | None) -> None:
    """Put a copy of the agent into a sandbox's folder; only ``owner``, a user and a group, may enter what it sees.

    Without one all may, but for the folder around it, which only the platform enters. Blocks. Raises `OSError`.
    """
    _copy(str(agent), str(own.agent))
    if owner is None:
        return
    for path in (own.agent, own.link, own.task):
        os.chown(path, 0, owner)
        path.chmod(0o750)
    os.chown(own.link / "s", 0, owner)
    (own.link / "s").chmod(0o660)


def _copy(source: str, target: str) -> None:
    Path(target).mkdir()
    Path(target).chmod(0o755)
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.is_dir():
                _copy(entry.path, f"{target}/{entry.name}")
            else:
                shutil.copyfile(entry.path, f"{target}/{entry.name}")
                Path(target, entry.name).chmod(0o644)
