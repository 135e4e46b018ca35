"""The photographs that the demo drops: six shipped ones and three made of them, or those of a folder of one's own."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from PIL import Image, ImageDraw

from examples.photos.demo import failures, looks

SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
"""What the upload trigger of `transcode` takes."""

MOST = 3_000
"""More photographs than this are refused: the records of all must fit into one answer of the platform."""

_LARGE_PIXELS = 12_000_000
_ORIENTATION, _TURNED_RIGHT = 0x0112, 6


class Photo(msgspec.Struct, frozen=True, kw_only=True):
    """One file to drop under ``in/`` by this name. ``look`` is how it looks upright, None when it is no whole image."""

    name: str
    path: Path
    look: looks.Look | None
    note: str = ""

    @property
    def key(self) -> str:
        """Its key in the bucket ``photos``."""
        return f"in/{self.name}"

    @property
    def outputs(self) -> tuple[str, str]:
        """The keys in the bucket ``thumbs`` that it becomes: in its own size, and small."""
        return f"full/{self.name}.webp", f"small/{self.name}.webp"


def shipped(originals: Path, work: Path) -> list[Photo]:
    """The photographs of the example, and three made of them into the folder ``work``."""
    found = [_as_it_is(path, path.name) for path in sorted(originals.iterdir())]
    made = [
        _enlarged(originals / "hubble_deep_field.jpg", work / "enlarged.jpg"),
        _turned(originals / "chelsea.png", work / "turned.jpg"),
        _cut_out(originals / "coffee.png", work / "transparent.png"),
    ]
    return found + made


def of_folder(folder: Path) -> tuple[list[Photo], list[str]]:
    """The photographs of a folder and what is below it, and the names of the files that are left out.

    Raises `failures.Failed` when there is no photograph, or too many.
    """
    if not folder.is_dir():
        raise failures.Failed(f"PHOTOS={folder} is no folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    visible = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    taken = [path for path in visible if path.name.endswith(SUFFIXES) and _is_text(str(path))]
    if not taken:
        raise failures.Failed(f"no photograph is in {folder}: none of its files ends in .jpg, .jpeg or .png")
    if len(taken) > MOST:
        raise failures.Failed(f"{len(taken):,} photographs are in {folder}: the demo takes at most {MOST:,}")
    others = [path.relative_to(folder).as_posix() for path in visible if path not in set(taken)]
    left_out = [name.encode(errors="replace").decode() for name in others]
    return [_as_it_is(path, path.relative_to(folder).as_posix()) for path in taken], left_out


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8, as the keys of objects are."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _as_it_is(path: Path, name: str) -> Photo:
    return Photo(name=name, path=path, look=looks.of_file(path))


def _enlarged(source: Path, target: Path) -> Photo:
    """12 megapixels, as a telephone takes them."""
    with Image.open(source) as image:
        scale = math.sqrt(_LARGE_PIXELS / (image.width * image.height))
        size = math.ceil(image.width * scale), math.ceil(image.height * scale)
        large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    large.save(target, "JPEG", quality=85)
    return Photo(name=target.name, path=target, look=looks.of_image(large, "JPEG"), note="enlarged to 12 megapixels")


def _turned(source: Path, target: Path) -> Photo:
    """Pixels that lie on their side, and a tag that says so, as a camera writes them that was held upright."""
    with Image.open(source) as image:
        upright = image.convert("RGB")
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED_RIGHT
    upright.transpose(Image.Transpose.ROTATE_90).save(target, "JPEG", quality=90, exif=exif)
    return Photo(name=target.name, path=target, look=looks.of_image(upright, "JPEG"), note="turned by its EXIF tag")


def _cut_out(source: Path, target: Path) -> Photo:
    """An ellipse of the picture, and transparency around it."""
    with Image.open(source) as image:
        cut = image.convert("RGBA")
    mask = Image.new("L", cut.size, 0)
    ImageDraw.Draw(mask).ellipse((0, 0, cut.width - 1, cut.height - 1), fill=255)
    cut.putalpha(mask)
    cut.save(target, "PNG")
    return Photo(name=target.name, path=target, look=looks.of_image(cut, "PNG"), note="with transparency")
