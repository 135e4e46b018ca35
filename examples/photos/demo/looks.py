"""How an image looks: its size, its transparency, and a small grid of its colours that tells which side is up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from PIL import Image, ImageOps

GRID = 16
"""Cells on each side of the grid."""

Cells = tuple[int, ...]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What can be told of an image by looking at it upright.

    ``cells`` are the brightnesses (0 to 255) of a square of ``GRID * GRID`` cells, row by row, over white.
    """

    format: str
    width: int
    height: int
    transparent: bool
    cells: Cells


def of_file(path: Path) -> Look | None:
    """How the file looks when it is opened as an image and turned as its EXIF tag says; None for what is no image."""
    try:
        with Image.open(path) as image:
            format = image.format or ""
            return of_image(ImageOps.exif_transpose(image), format)
    except (OSError, SyntaxError, EOFError, ValueError, Image.DecompressionBombError):  # Pillow's ways to refuse a file
        return None


def of_image(image: Image.Image, format: str) -> Look:
    """How an image looks that is upright already."""
    small = image.convert("RGBA" if image.has_transparency_data else "RGB").resize((GRID, GRID), Image.Resampling.BOX)
    on_white = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small.convert("RGBA"))
    return Look(
        format=format,
        width=image.width,
        height=image.height,
        transparent=_is_transparent(image),
        cells=tuple(on_white.convert("L").tobytes()),
    )


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    return bool(image.convert("RGBA").getchannel("A").getextrema()[0] != 255)


def difference(one: Cells, other: Cells) -> float:
    """How far two grids are apart: the mean difference of their cells, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def turned(cells: Cells) -> Iterator[Cells]:
    """The grid as it looks turned and mirrored: the seven other ways in which the picture could lie."""
    rows = [cells[start : start + GRID] for start in range(0, len(cells), GRID)]
    upright = rows
    for mirrored in (False, True):
        for quarter in range(4):
            if mirrored or quarter:
                yield tuple(cell for row in rows for cell in row)
            rows = [tuple(column) for column in zip(*rows[::-1], strict=True)]
        rows = [row[::-1] for row in upright]
