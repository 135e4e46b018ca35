"""What lies in the buckets: objects dropped in, and what was made of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from examples.photos.demo import checks, looks
from examples.photos.demo.photos import Photo


def drop(photos: Iterable[Photo], bucket: Path) -> None:
    """Copy photographs into a bucket's folder under hidden names and rename each, so that it is seen whole."""
    for photo in photos:
        target = bucket / photo.key
        target.parent.mkdir(parents=True, exist_ok=True)
        passing = target.with_name(".dropping")
        shutil.copyfile(photo.path, passing)
        passing.rename(target)


def outputs(photo: Photo, thumbs: Path) -> dict[str, looks.Look | None]:
    """How the outputs of a photograph look that are there."""
    return {key: looks.of_file(thumbs / key) for key in photo.outputs if (thumbs / key).is_file()}


def archived(archive: Path, thumbs: Path) -> dict[str, checks.Archived]:
    """The entries of the archive's indexes, by the output that each stands for."""
    found: dict[str, checks.Archived] = {}
    for index in archive.glob("*/index/*.json"):
        entry = json.loads(index.read_bytes())
        found[entry["key"]] = checks.Archived(
            copy=entry["object"],
            copy_sha256=digest(archive / entry["object"]),
            output_sha256=digest(thumbs / entry["key"]),
        )
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file; empty when there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size(paths: Iterable[Path]) -> int:
    """Bytes of those of the files that are there."""
    return sum(path.stat().st_size for path in paths if path.is_file())
