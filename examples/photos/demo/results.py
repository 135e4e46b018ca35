"""What the demo leaves behind: copies of the buckets, the contact sheet and the ledger, in one folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from examples.photos.demo import failures, ledger, report, sheet
from examples.photos.demo.photos import Photo

BUCKETS = ("thumbs", "archive")
SHEET = "contact-sheet.png"


def check(target: Path) -> None:
    """Raises `failures.Failed` when the folder is there and is not of an earlier demo."""
    if target.exists() and not (target / SHEET).is_file():
        raise failures.Failed(f"{target} is not of an earlier demo, so it is not replaced")


def save(target: Path, buckets: Path, tiles: Sequence[sheet.Tile], found: ledger.Ledger) -> None:
    """Replace the folder ``target`` by what this run made. Raises as `check` does."""
    check(target)
    fresh = target.with_name(f".{target.name}-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in BUCKETS:
        if (buckets / name).is_dir():
            shutil.copytree(buckets / name, fresh / name, ignore=shutil.ignore_patterns(".*"))
    sheet.draw(tiles, f"faas: {len(tiles)} photographs", fresh / SHEET)
    (fresh / "ledger.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def tile(photo: Photo, row: report.Row | None, thumbs: Path) -> sheet.Tile:
    """A photograph as it goes on the contact sheet; ``row`` is its successful attempt, if there is one."""
    thumbnail = thumbs / photo.outputs[1]
    pixels = f"{photo.look.width} x {photo.look.height}" if photo.look else "no whole photograph"
    figures = f"{report.size(row.bytes_in)} B in, {report.size(row.bytes_out)} B out" if row else "failed"
    billed = f", {row.attempt.billed_ms:,} ms billed" if row else ""
    return sheet.Tile(
        thumbnail=thumbnail if row and thumbnail.is_file() else None,
        name=photo.name,
        lines=(f"{pixels}{f', {photo.note}' if photo.note else ''}", figures + billed),
    )
