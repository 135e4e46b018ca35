"""What lies in a bucket's folder and is no object, nor meant to be left alone. Everything here blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from faas.buckets import keys, port

_KINDS = (
    (stat.S_ISLNK, "it is a link, and links are not followed"),
    (stat.S_ISFIFO, "it is a pipe, which has no content of its own"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)


def found(root: int) -> Iterator[port.Unfit]:
    """Whatever is unfit below an open folder, as it comes. Raises `OSError` when the folder itself cannot be read."""
    # The way from the root is kept as descriptors of generators, so no more are open than folders are deep.
    yield from _below(os.dup(root), "")


def _below(folder: int, path: str) -> Iterator[port.Unfit]:
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                if not entry.name.startswith("."):
                    yield from _of(folder, entry, path + entry.name)
    finally:
        os.close(folder)


def _of(folder: int, entry: os.DirEntry[str], name: str) -> Iterator[port.Unfit]:
    why = _why_no_key(name)
    if entry.is_dir(follow_symlinks=False):
        yield from [port.Unfit(name + "/", f"{why}, and so is nothing in it")] if why else _in(folder, entry.name, name)
    elif why := why or _why_no_object(folder, entry):
        yield port.Unfit(name, why)


def _in(folder: int, entry: str, name: str) -> Iterator[port.Unfit]:
    try:
        inner = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return  # it has gone meanwhile
    except OSError as error:
        yield port.Unfit(name + "/", f"the folder cannot be read: {error.strerror}")
        return
    yield from _below(inner, name + "/")


def _why_no_key(name: str) -> str:
    try:
        fits = keys.fits(name)
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return "" if fits else f"its key is longer than {keys.MAX_KEY_BYTES} bytes"


def _why_no_object(folder: int, entry: os.DirEntry[str]) -> str:
    if entry.is_file(follow_symlinks=False):
        is_readable = os.access(entry.name, os.R_OK, dir_fd=folder)
        return "" if is_readable else "the platform's user may not read it"
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except FileNotFoundError:
        return ""
    return next((why for is_so, why in _KINDS if is_so(mode)), "it is no plain file")
