"""What must be true at the end of the demo. Pure functions over what was found; each fault is one line for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from examples.photos.demo import attempts, looks
from examples.photos.demo.photos import Photo

THUMBNAIL_PIXELS = 320

_SAME_PICTURE = 24.0
"""The most that two grids of one picture differ: compression and scaling blur it a little."""

_AS_NEAR = 1.0
"""A picture that looks nearly the same upside down may be this much nearer to lying than to standing."""


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """One output and its copy: the copy's key in the bucket ``archive``, and the SHA-256 of both as they lie there."""

    copy: str
    copy_sha256: str
    output_sha256: str


def output_faults(photo: Photo, found: Mapping[str, looks.Look | None]) -> list[str]:
    """Faults of the two outputs of a photograph that was transcoded.

    ``found`` holds how each output looks that is there: None for what is no image.
    """
    if photo.look is None:
        return [f"{photo.key} is no whole photograph, and yet it was transcoded"]
    faults: list[str] = []
    for key, small in zip(photo.outputs, (False, True), strict=True):
        if key not in found:
            faults.append(f"{photo.key}: thumbs/{key} is missing")
        elif (look := found[key]) is None:
            faults.append(f"{photo.key}: thumbs/{key} is no image")
        else:
            faults += [f"{photo.key}: thumbs/{key} {fault}" for fault in look_faults(photo.look, look, small=small)]
    return faults


def look_faults(source: looks.Look, output: looks.Look, *, small: bool) -> list[str]:
    """What is wrong with an output of a photograph that looks like ``source``."""
    faults: list[str] = []
    if output.format != "WEBP":
        faults.append(f"is {output.format}, expected WEBP")
    width, height = small_size(source.width, source.height) if small else (source.width, source.height)
    slack = 1 if small else 0  # either way of rounding will do
    if abs(output.width - width) > slack or abs(output.height - height) > slack:
        faults.append(f"has {output.width} x {output.height} pixels, expected {width} x {height}")
    if (output.transparent and not source.transparent) or (source.transparent and not output.transparent and not small):
        faults.append("has transparency" if output.transparent else "has lost its transparency")
    return faults + orientation_faults(source.cells, output.cells)


def small_size(width: int, height: int) -> tuple[int, int]:
    """The size of a thumbnail: no side over 320 pixels, the proportions kept, nothing enlarged."""
    scale = min(1.0, THUMBNAIL_PIXELS / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def orientation_faults(source: looks.Cells, output: looks.Cells) -> list[str]:
    """Whether the output shows the same picture, and shows it upright."""
    upright = looks.difference(source, output)
    lying = min(looks.difference(way, output) for way in looks.turned(source))
    if min(upright, lying) > _SAME_PICTURE:
        return ["shows another picture"]
    return ["is turned or mirrored"] if lying + _AS_NEAR < upright else []


def ledger_faults(objects: Iterable[str], found: Sequence[attempts.Attempt]) -> list[str]:
    """Each object (``bucket/key``) has exactly one successful record, and there is no record of anything else."""
    expected = set(objects)
    succeeded = Counter(each.object for each in found if each.ok)
    failed = {each.object: each for each in found if not each.ok}
    faults: list[str] = []
    for name in sorted(expected):
        if succeeded[name] == 0:
            why = f": {_said(failed[name])}" if name in failed else ", and no failed one"
            faults.append(f"{name} has no successful record{why}")
        elif succeeded[name] > 1:
            faults.append(f"{name} has {succeeded[name]} successful records, expected 1")
    for each in found:
        if each.object not in expected:
            what = f"of {each.object}, which was not expected" if each.object else "whose log names no object"
            faults.append(f"{each.function} has a record {what} (invocation {each.invocation_id}: {_said(each)})")
    return faults


def _said(attempt: attempts.Attempt) -> str:
    return attempt.error or attempt.status


def archive_faults(outputs: Iterable[str], found: Mapping[str, Archived]) -> list[str]:
    """Each output (a key of ``thumbs``) has an index entry, and what it points to is a copy named by its content."""
    faults: list[str] = []
    for key in outputs:
        entry = found.get(key)
        if entry is None:
            faults.append(f"thumbs/{key} is in no index of the archive")
        elif not entry.output_sha256 == entry.copy_sha256 == entry.copy.rpartition("/")[2]:
            faults.append(f"thumbs/{key} and its copy in the archive differ")
    return faults


def bill_faults(bill: Mapping[str, Any], function: str, found: Sequence[attempts.Attempt]) -> list[str]:
    """The statement's line of a function is the sum of its records, to the last pico-unit."""
    line = next((line for line in bill["lines"] if line["name"] == function), None)
    told = (line["count"], line["billed_ms"], line["cost_pico"]) if line else (0, 0, 0)
    summed = (len(found), sum(each.billed_ms for each in found), sum(each.cost_pico for each in found))
    names = ("records", "billed ms", "pico-units")
    return [
        f"the bill says {said:,} {name} of {function}, its records {own:,}"
        for said, own, name in zip(told, summed, names, strict=True)
        if said != own
    ]


def conservation_faults(status: Mapping[str, Any], accepted: Mapping[str, int]) -> list[str]:
    """Every invocation that was accepted is in one place, and each function accepted as many as there were objects."""
    faults = [f"{status['drift']} invocations are in no place or in two"] if status["drift"] else []
    for function, expected in accepted.items():
        found = status["functions"][function]["accepted"]
        if found != expected:
            faults.append(f"{function} accepted {found} invocations, expected {expected}")
    return faults
