"""The contact sheet: every thumbnail with its name and figures on one PNG, to see at a glance that all are upright."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
from PIL import Image, ImageDraw, ImageFont

_MOST_COLUMNS = 6
_SIDE, _MARGIN, _CAPTION, _TITLE = 320, 16, 64, 56
_PAPER, _INK, _PALE, _RED = "#ffffff", "#202124", "#6b7075", "#b3261e"
_SQUARE = 10
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf")
_SQUARES = ("#ffffff", "#dadce0")

MOST = 200
"""Tiles on one sheet; the title says how many photographs there are."""


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One photograph: its thumbnail (None when it has none), its name and the lines below it."""

    thumbnail: Path | None
    name: str
    lines: tuple[str, ...]


def draw(tiles: Sequence[Tile], title: str, target: Path) -> None:
    """Write the sheet."""
    shown = tiles[:MOST]
    columns = min(_MOST_COLUMNS, math.ceil(math.sqrt(max(1, len(shown)))))
    rows = -(-len(shown) // columns)
    width = columns * (_SIDE + _MARGIN) + _MARGIN
    height = _TITLE + rows * (_SIDE + _CAPTION + _MARGIN) + _MARGIN
    paper = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(paper)
    _write(pen, title, (_MARGIN, _MARGIN), 22, _INK, width - 2 * _MARGIN)
    for place, tile in enumerate(shown):
        left = _MARGIN + place % columns * (_SIDE + _MARGIN)
        top = _TITLE + place // columns * (_SIDE + _CAPTION + _MARGIN)
        _paste(paper, pen, tile, left, top)
    paper.save(target, "PNG", optimize=True)


def _paste(paper: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, left: int, top: int) -> None:
    if tile.thumbnail is None:
        pen.rectangle((left, top, left + _SIDE - 1, top + _SIDE - 1), outline=_RED, width=2)
        _write(pen, "no thumbnail", (left + 12, top + 12), 18, _RED, _SIDE - 24)
    else:
        with Image.open(tile.thumbnail) as opened:
            image = opened.convert("RGBA")
        ground = _chequered(image.size)
        ground.alpha_composite(image)
        paper.paste(ground.convert("RGB"), (left + (_SIDE - image.width) // 2, top + _SIDE - image.height))
    _write(pen, tile.name, (left, top + _SIDE + 6), 16, _INK, _SIDE)
    for place, line in enumerate(tile.lines):
        _write(pen, line, (left, top + _SIDE + 27 + place * 17), 13, _PALE, _SIDE)


def _chequered(size: tuple[int, int]) -> Image.Image:
    """What shows through where a picture is transparent."""
    ground = Image.new("RGBA", size, _SQUARES[0])
    pen = ImageDraw.Draw(ground)
    for x in range(0, size[0], _SQUARE):
        for y in range(x // _SQUARE % 2 * _SQUARE, size[1], 2 * _SQUARE):
            pen.rectangle((x, y, x + _SQUARE - 1, y + _SQUARE - 1), fill=_SQUARES[1])
    return ground


def _write(pen: ImageDraw.ImageDraw, text: str, place: tuple[int, int], points: int, colour: str, width: int) -> None:
    """One line, cut where it would leave its column."""
    font = _font(points)
    shown = text
    while shown and pen.textlength(shown if shown == text else f"{shown}…", font) > width:
        shown = shown[:-1]
    pen.text(place, shown if shown == text else f"{shown}…", colour, font)


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font of the machine, which has letters of many scripts; else the one that comes with Pillow, which has few."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, points)
        except OSError:  # it is not there
            continue
    return ImageFont.load_default(points)
