"""Which folders of this machine buckets may be, so that who may deploy reads and writes no others through a function.

::

    the data directory, what holds it, what it holds beside its buckets, /proc, /sys, /dev    never
    below the data directory's own `buckets/`                                                 yes
    a folder of the setting `bucket_roots`, or below one                                      yes
    a folder that was agreed to where the data directory is (`faas deploy` asks)              yes
    any other                                                                                 no

A place is judged by where it really is: links are resolved before, at a deploy and again whenever a bucket is opened.
What was agreed to stands in a file of the data directory, which nobody writes through the control API.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from faas.core import errors, groups, model
from faas.core.values import unreadable

AGREED_FILE = "bucket_folders"
"""In the data directory: the folders that were agreed to, a list in JSON."""

_THE_SYSTEMS = (Path("/proc"), Path("/sys"), Path("/dev"))
_DELETED = " (deleted)"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class PlaceVerdict(enum.Enum):
    """What is said of a folder; the value is the reason."""

    FITS = ""
    HOLDS_DATA = "it holds the platform's data directory"
    IS_DATA = "it is part of the platform's data directory"
    HOLDS_BUCKETS = "it holds the buckets of the data directory"
    THE_SYSTEMS = "it belongs to the system"
    NOT_BELOW = "it is not below a folder of bucket_roots"


class Roots(msgspec.Struct, frozen=True):
    """Where the data directory, its own buckets and the folders of `bucket_roots` really are."""

    data: Path
    own: Path
    given: tuple[Path, ...]


def judge(place: Path, roots: Roots, agreed: Collection[str]) -> PlaceVerdict:
    """The verdict on a folder by the table above. ``place`` is absolute and holds no links."""
    # Before all others, so that no setting and nobody's word opens what holds the token.
    if roots.data.is_relative_to(place) and roots.data != place:
        return PlaceVerdict.HOLDS_DATA
    if any(place.is_relative_to(each) for each in _THE_SYSTEMS):
        return PlaceVerdict.THE_SYSTEMS
    if roots.own.is_relative_to(place):
        return PlaceVerdict.HOLDS_BUCKETS if place != roots.data else PlaceVerdict.IS_DATA
    if place.is_relative_to(roots.own):
        return PlaceVerdict.FITS
    if place.is_relative_to(roots.data):
        return PlaceVerdict.IS_DATA
    below = any(place.is_relative_to(root) for root in roots.given)
    return PlaceVerdict.FITS if below or str(place) in agreed else PlaceVerdict.NOT_BELOW


class BucketPlaces:
    """The judgement for one platform. The folders of `bucket_roots` are where they were when this was made."""

    def __init__(self, data: groups.Data) -> None:
        self._agreed_file = data.root / AGREED_FILE
        given = tuple(_real(path) for path in data.bucket_roots.split(os.pathsep) if path)
        self.roots = Roots(_real(data.root), _real(data.root / "buckets"), given)
        # What fits by its place fits as long as this lives; what was agreed to may be taken back.
        self._fit: set[str] = set()

    def verdict(self, place: str) -> PlaceVerdict:
        """The verdict on a folder that is absolute and holds no links."""
        if place in self._fit:
            return PlaceVerdict.FITS
        found = judge(Path(place), self.roots, ())
        if found is PlaceVerdict.FITS:
            self._fit.add(place)
        elif found is PlaceVerdict.NOT_BELOW:  # may have been agreed to, which may be taken back
            found = judge(Path(place), self.roots, agreed(self._agreed_file))
        return found

    def require(self, bucket: str, place: str) -> None:
        """Raise `errors.Conflict` when the bucket may not be in a folder, which is absolute and holds no links."""
        found = self.verdict(place)
        if found is not PlaceVerdict.FITS:
            raise refused(bucket, place, found)

    def require_open(self, bucket: str, folder: int) -> None:
        """Raise `errors.Conflict` when the bucket may not be in the folder that is open: where it really is.

        Raises `FileNotFoundError` when it was removed meanwhile.
        """
        place = os.readlink(f"/proc/self/fd/{folder}")  # noqa: PTH115 - a third of the time, at each open
        # A folder may have that name, too: only one without links has gone.
        if place.endswith(_DELETED) and os.fstat(folder).st_nlink == 0:
            raise FileNotFoundError(place)
        self.require(bucket, place)

    def settled(self, bucket: model.Bucket) -> model.Bucket:
        """A bucket that is about to be deployed, with the folder that its path really is.

        Raises `errors.BadRequest` for what is no path, and `errors.Conflict` when the bucket may not be there.
        """
        if bucket.path is None:
            return bucket
        place = resolved(bucket)
        self.require(bucket.name, place)
        return msgspec.structs.replace(bucket, path=place)


def settled(project: model.Project, data: groups.Data) -> model.Project:
    """A project that is about to be deployed, with the folders that the paths of its buckets really are.

    Raises what `BucketPlaces.settled` raises.
    """
    places = BucketPlaces(data)
    return msgspec.structs.replace(project, buckets=tuple(map(places.settled, project.buckets)))


def resolved(bucket: model.Bucket) -> str:
    """Where a bucket's path really is. Raises `errors.BadRequest` for what is no absolute path."""
    path = bucket.path or ""
    try:
        if os.path.isabs(path):  # noqa: PTH117 - a text from outside, which may be no path at all
            return os.path.realpath(path)
    except (OSError, ValueError):  # a NUL, a name that is too long
        pass
    raise errors.BadRequest(f"the bucket {bucket.name}: {path[:80]!r} is no absolute path of a folder")


def refused(bucket: str, place: str, verdict: PlaceVerdict) -> errors.Conflict:
    """The error of a bucket in a folder where it may not be."""
    hint = "choose another folder"
    if verdict is PlaceVerdict.NOT_BELOW:
        hint = "name it, or a folder above it, in the setting bucket_roots (FAAS_BUCKET_ROOTS) and restart the platform"
    return errors.Conflict(
        f"the bucket {bucket} may not be in {place}: {verdict.value}", hint=hint, bucket=bucket, reason=verdict.name
    )


def agreed(file: Path) -> Collection[str]:
    """The folders that were agreed to; none when the file is not there or is no list of them."""
    try:
        return frozenset(msgspec.json.decode(file.read_bytes(), type=list[str]))
    except (OSError, *unreadable.ERRORS):
        return frozenset()


def of_its_own(data: groups.Data, name: str) -> Path:
    """The folder in the data directory of a bucket without a path.

    A name that is none, wherever it comes from, gets a folder that is judged: so it opens nothing.
    """
    return data.root / "buckets" / name if _NAME.fullmatch(name) else data.root


def refusals(places: BucketPlaces, buckets: Sequence[model.Bucket]) -> list[errors.FaasError]:
    """What is wrong with the places of buckets that are deployed, one error for each that is refused."""
    found: list[errors.FaasError] = []
    for bucket in buckets:
        try:
            places.require(bucket.name, resolved(bucket) if bucket.path is not None else own(places, bucket.name))
        except errors.FaasError as error:
            found.append(error)
    return found


def own(places: BucketPlaces, name: str) -> str:
    """Where a bucket without a path really is: a folder of the data directory, unless somebody put a link there."""
    return os.path.realpath(places.roots.own / name)


def _real(path: Path | str) -> Path:
    return Path(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111 - the same for texts and paths
