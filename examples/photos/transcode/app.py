"""A photograph that lands in ``photos/in/`` becomes a WebP and a thumbnail in ``thumbs/``."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from PIL import Image, ImageOps, UnidentifiedImageError

THUMBNAIL_PIXELS = 320


class NotAPhoto(Exception):
    """The object cannot be read as a whole image: it is empty, cut off, or something else."""


def handler(event: dict[str, Any], context: Any) -> dict[str, list[str]]:
    written: list[str] = []
    for bucket, key in uploaded(event):
        print(json.dumps({"reading": f"{bucket}/{key}"}))
        photo = read_photo(context.bucket(bucket), key)
        written += write_outputs(photo, context.bucket("thumbs"), output_name(key))
    return {"written": written}


def uploaded(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Bucket and key of every object of the event; keys arrive encoded as in a form."""
    for record in event["Records"]:
        yield record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])


def output_name(key: str) -> str:
    """``in/trip/a.jpg`` -> ``trip/a.jpg``: the ending stays, so that a.jpg and a.png do not overwrite one another."""
    return key.removeprefix("in/")


def read_photo(bucket: Any, key: str) -> Image.Image:
    """The image upright, in a mode that WebP can hold."""
    try:
        with bucket.open(key, "rb") as source, Image.open(source) as photo:
            photo.load()
            ImageOps.exif_transpose(photo, in_place=True)
            photo = eight_bits(photo)
            mode = "RGBA" if photo.has_transparency_data else "RGB"
            return photo if photo.mode == mode else photo.convert(mode)  # a photo may be large: no copy without need
    except UnidentifiedImageError as error:
        raise NotAPhoto(f"{key} is empty or not a photo") from error
    except (SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise NotAPhoto(f"{key} cannot be read: {error}") from error
    except OSError as error:
        if error.errno is not None:  # the bucket's fault, not the photo's
            raise
        raise NotAPhoto(f"{key} is damaged: {error}") from error


def eight_bits(photo: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8: what converts it to colours would show all but the darkest as white."""
    if not photo.mode.startswith("I"):
        return photo
    return photo.convert("I").point(lambda value: value * (1 / 256)).convert("L")


def write_outputs(photo: Image.Image, thumbs: Any, name: str) -> list[str]:
    quality = int(os.environ.get("QUALITY", "80"))
    outputs = {posixpath.join("full", name + ".webp"): photo, posixpath.join("small", name + ".webp"): thumbnail(photo)}
    for key, image in outputs.items():
        with thumbs.open(key, "wb") as target:
            image.save(target, "WEBP", quality=quality)
    return list(outputs)


def thumbnail(photo: Image.Image) -> Image.Image:
    """The photo with no side longer than 320 pixels; a smaller one stays as it is."""
    scale = min(1.0, THUMBNAIL_PIXELS / max(photo.size))
    width, height = (max(1, round(side * scale)) for side in photo.size)
    return photo.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
