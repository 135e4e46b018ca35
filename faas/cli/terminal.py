r"""What a terminal would obey instead of showing, written out: ``\x1b`` for the escape that begins its commands.

What functions, packages and files are called or say is anybody's text. A terminal takes some of its characters as
orders (move, colour, retitle, paste), a carriage return writes over what stood there, and marks of direction show
text in another order than it is read in. In a pipe nothing is changed.
"""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Any, TextIO

_FIRST_FREE = 3
"""The first descriptor that is none of the three streams."""

_ORDERS = re.compile(
    "["
    # C0 but tab and line feed, delete, C1.
    "\x00-\x08\x0b-\x1f\x7f-\x9f"
    # Marks of direction, and what shows nothing.
    "\xad\u061c\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff"
    # Tags and variants that show nothing.
    "\U000e0000-\U000e0fff"
    "]"
)


def open_streams() -> None:
    """Have three streams that can be written to, whatever of them the caller has closed and what it can encode.

    Else the first file that is opened would be standard output to whoever prints, and be written over.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) < _FIRST_FREE:
        pass
    os.close(opened)
    streams: Any = sys
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(streams, name, open(number, mode, closefd=False))  # noqa: SIM115 - as long as the process
    # A terminal of another encoding than UTF-8 shows what it has no character for as Python writes it.
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def shown(text: str, stream: TextIO) -> str:
    """The text as it may be written to a stream."""
    return _ORDERS.sub(_named, text) if stream.isatty() else text


def shown_json(document: str, stream: TextIO) -> str:
    """A JSON document, which stays one: inside its strings the same characters stand as JSON's own escapes."""
    return _ORDERS.sub(_escaped, document) if stream.isatty() else document


def _named(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
