"""Agreement, at the command line, to folders of a project as buckets: whoever gives it can write the data directory.

The control API has no part in it: who has its token alone gets functions to no folder that was not agreed to here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from faas.cli import output, platform_dir
from faas.core import bucket_places, errors, model
from faas.core import settings as settings_module


def see_to(project: model.Project, declared_in: Path, settings: settings_module.Settings, *, agrees: bool) -> None:
    """Have those folders of the project agreed to that are its buckets and were not before; ask unless ``agrees``.

    Folders outside of the project are left to the platform, which knows its own settings. Raises `errors.Conflict`
    for what nobody agrees to, and `errors.Unauthorized` when the data directory is not this user's.
    """
    wanted = unsettled(project, declared_in.resolve().parent, bucket_places.BucketPlaces(settings.data))
    if not wanted:
        return
    if not agrees:
        _ask(wanted)
    _write_down(settings.data.root, [bucket.path for bucket in wanted if bucket.path])


def unsettled(project: model.Project, folder: Path, places: bucket_places.BucketPlaces) -> list[model.Bucket]:
    """The buckets that lie in the project's ``folder`` and where nothing else lets a bucket be."""
    return [
        bucket
        for bucket in project.buckets
        if bucket.path is not None
        and Path(bucket.path).is_relative_to(folder)
        and places.verdict(bucket.path) is bucket_places.PlaceVerdict.NOT_BELOW
    ]


def _ask(wanted: Sequence[model.Bucket]) -> None:
    if not sys.stdin.isatty():
        first = wanted[0]
        raise errors.Conflict(
            f"the bucket {first.name} would be the folder {first.path} of this project, and nobody is here to agree",
            hint="`faas deploy --yes` agrees to it, once and for good",
            bucket=first.name,
        )
    output.say("These folders become buckets; functions will read and write what is in them:")
    for bucket in wanted:
        output.say(f"  {bucket.name}: {bucket.path}")
    if not click.confirm("Agree?", err=True):
        raise errors.Conflict(
            "nothing was deployed: nobody agreed to the folders", hint="take `path` out of the buckets"
        )


def _write_down(root: Path, places: Sequence[str]) -> None:
    file = root / bucket_places.AGREED_FILE
    known = bucket_places.agreed(file)
    try:
        platform_dir.replace(file, msgspec.json.encode(sorted({*known, *places})) + b"\n")
    except PermissionError as error:
        raise errors.Unauthorized(f"{root} is not yours to write", hint="run as who ran `faas up`") from error
    except OSError as error:
        raise errors.Unavailable(f"{file} cannot be written: {error.strerror}") from error
