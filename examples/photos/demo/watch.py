"""Waiting until everything has been processed, and showing how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from examples.photos.demo import failures

FIRST, SECOND = "transcode", "archive"
"""The two stages of the chain."""

OUTPUTS_EACH = 2
STALLED_AFTER_S = 180.0
_LOOK_AGAIN_S = 0.2


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the photographs are. ``failed`` counts those of the first stage, which are among its ``transcoded``."""

    photos: int
    transcoded: int = 0
    failed: int = 0
    archived: int = 0
    busy: int = 0

    @property
    def to_archive(self) -> int:
        """How many objects the second stage will have had, as far as is known now."""
        return max(self.archived, OUTPUTS_EACH * (self.photos - self.failed))

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return self.transcoded >= self.photos and self.archived >= self.to_archive and self.busy == 0


def progress(status: Mapping[str, Any], photos: int) -> Progress:
    """What `faas status` says of the two stages."""
    first, second = status["functions"][FIRST], status["functions"][SECOND]
    return Progress(
        photos=photos,
        transcoded=first["done"] + first["dead"],
        failed=first["dead"],
        archived=second["done"] + second["dead"],
        busy=sum(stage[place] for stage in (first, second) for place in ("waiting", "running", "retrying")),
    )


def until_settled(
    status: Callable[[], Mapping[str, Any]],
    photos: int,
    show: Callable[[Progress], None],
    stalled_after_s: float = STALLED_AFTER_S,
) -> None:
    """Look until all is settled. Raises `failures.Failed` when nothing has changed for so long."""
    known, since = Progress(photos=photos), time.monotonic()
    while not known.settled:
        found = progress(status(), photos)
        if found != known:
            known, since = found, time.monotonic()
            show(known)
        elif time.monotonic() - since > stalled_after_s:
            raise failures.Failed(
                f"nothing has moved for {stalled_after_s:.0f} s: {known.transcoded} of {photos} photos transcoded, "
                f"{known.archived} of {known.to_archive} outputs archived"
            )
        else:
            time.sleep(_LOOK_AGAIN_S)


def until(found: Callable[[], Any], what: str, within_s: float) -> Any:
    """Look until there is something, and return it. Raises `failures.Failed` saying what was waited for."""
    last = time.monotonic() + within_s
    while not (result := found()):
        if time.monotonic() > last:
            raise failures.Failed(f"{what} was not seen within {within_s:.0f} s")
        time.sleep(_LOOK_AGAIN_S)
    return result
