"""What an import fails of when the sandbox's image lacks a shared library: said in one line.

The loader of libraries says which, and packages wrap it in pages of advice about reinstalling them.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator

_MISSING = re.compile(r"(?:^|[\s/])([^\s/:]+\.so[\w.]*): cannot open shared object file: No such file")
_TOO_OLD = re.compile(r"(?:^|[\s/])([^\s/:]+\.so[\w.]*): version [`']([\w.+-]+)' not found")


def missing(error: BaseException, code: str) -> str:
    """Why the import failed, when that is a library of the image; else an empty text."""
    for link in _chain(error):
        text = str(link) if isinstance(link, (ImportError, OSError)) else ""
        who = (getattr(link, "name", None) or "it").partition(".")[0]
        if found := _MISSING.search(text):
            return f"{who} needs the library {found[1]}, which the sandbox's image does not have{_place(error, code)}"
        if found := _TOO_OLD.search(text):
            return f"{who} needs {found[2]}, and {found[1]} of the sandbox's image is older{_place(error, code)}"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _place(error: BaseException, code: str) -> str:
    """The line of the user's that began the import."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = frame.f_code.co_filename
        if name.startswith(code + os.sep):
            return f" ({os.path.relpath(name, code)}, line {line})"
    return ""
