"""Errors as the caller and the log see them: Lambda's names, the user's own frames and none of the platform's."""

from __future__ import annotations

import errno
import os
import socket
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Callable

MAX_KIND_CHARS = 500
MAX_MESSAGE_CHARS = 8_000
MAX_FRAME_CHARS = 1_000
MAX_FRAMES = 40

_AGENT = os.path.dirname(os.path.abspath(__file__)) + os.sep
_CALLERS = tuple(os.path.join(os.path.dirname(os.__file__), name, "") for name in ("asyncio", "importlib"))
_NAME_OF: Any = type.__dict__["__name__"]
_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


class Fault(Exception):
    """An error that the platform names after Lambda's runtime (``Runtime.ImportModuleError`` and its like).

    ``cause`` is the user's exception behind it, whose frames are shown.
    """

    def __init__(self, kind: str, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.cause = cause


def describe(error: BaseException) -> dict[str, Any]:
    """The ``error`` object of a frame: type, message, and the frames from the user's handler inwards."""
    shown = _cause_of(error)
    frames = _formatted(shown, lambda seen: seen.stack.format()) if shown else []
    if isinstance(shown, SyntaxError) and shown.filename:
        frames.append(f'  File "{shown.filename}", line {shown.lineno}\n    {(shown.text or "").strip()}\n')
    told = {"type": _kind(error)[:MAX_KIND_CHARS], "message": text_of(error)[:MAX_MESSAGE_CHARS]}
    return {**{key: _text(value) for key, value in told.items()}, "stack": [_text(each) for each in _clipped(frames)]}


def as_log(error: BaseException, network: str) -> str:
    """The error as it goes to the log: ``[ERROR] Type: message``, then the traceback with what led to it."""
    message = text_of(error)
    lines = [f"[ERROR] {_kind(error)}: {message}\n" if message else f"[ERROR] {_kind(error)}\n"]
    shown = _cause_of(error)
    if shown is not None:
        lines += _formatted(shown, _told_behind)
    if network == "none" and any(_is_unreachable(link) for link in _chain(error)):
        lines.append("[HINT] this function has no network; write `network: outbound` in faas.yaml to give it one\n")
    return "".join(lines)


def as_traceback(error: BaseException) -> str:
    """The error as Python shows it, without the platform's frames."""
    return "".join(_formatted(error, lambda seen: list(seen.format())))


def text_of(value: object) -> str:
    """``str`` of an object of the user's, whose ``__str__`` may raise anything, also what ends a process."""
    try:
        return str(value)
    except BaseException as failure:  # noqa: BLE001 - the attempt has failed already
        return f"<str() of this {_name(value)} raised {_name(failure)}>"


def _told_behind(seen: traceback.TracebackException) -> list[str]:
    """What stands behind the line of an error; nothing when that would be the same line once more."""
    lines = list(seen.format())
    return [] if len(lines) == 1 and lines == list(seen.format_exception_only()) else lines


def _cause_of(error: BaseException) -> BaseException | None:
    return error.cause if isinstance(error, Fault) else error


def _kind(error: BaseException) -> str:
    return error.kind if isinstance(error, Fault) else _name(error)


def _name(value: object) -> str:
    # Not by the attribute, which a metaclass of the user's may have its own of.
    return str(_NAME_OF.__get__(type(value)))


def _formatted(shown: BaseException, form: Callable[[traceback.TracebackException], list[str]]) -> list[str]:
    try:
        return form(_trimmed(traceback.TracebackException.from_exception(shown)))
    except BaseException:  # noqa: BLE001 - to show source it imports modules, of which the user may have others
        return [f'  File "{name}", line {line}, in {code}\n' for name, line, code in _places(shown)]


def _places(shown: BaseException) -> Iterator[tuple[str, int, str]]:
    link = shown.__traceback__
    while link is not None:
        code = link.tb_frame.f_code
        if not _is_caller(code.co_filename):
            yield code.co_filename, link.tb_lineno, code.co_name
        link = link.tb_next


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()


def _trimmed(shown: traceback.TracebackException) -> traceback.TracebackException:
    """Take the platform's frames out of the exception and of all that it is chained to."""
    for link in _links(shown):
        link.stack[:] = _own_frames(link.stack)
    return shown


def _links(shown: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    waiting = [shown]
    while waiting:
        link = waiting.pop()
        yield link
        further = [link.__cause__, link.__context__, *(getattr(link, "exceptions", None) or ())]
        waiting += [other for other in further if other is not None]


def _own_frames(stack: Sequence[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    begin = next((i for i, frame in enumerate(stack) if not _is_caller(frame.filename)), len(stack))
    return [frame for frame in stack[begin:] if not _is_platform(frame.filename)]


def _is_platform(filename: str) -> bool:
    return filename.startswith((_AGENT, "<frozen importlib"))


def _is_caller(filename: str) -> bool:
    """Whether a frame leads from the agent to the user's code: asyncio for a coroutine, importlib for a module."""
    return _is_platform(filename) or filename.startswith(_CALLERS)


def _clipped(frames: list[str]) -> list[str]:
    if len(frames) > MAX_FRAMES:
        left_out = len(frames) - MAX_FRAMES
        frames = [*frames[: MAX_FRAMES // 2], f"  [{left_out} frames left out]\n", *frames[-MAX_FRAMES // 2 :]]
    return [frame if len(frame) <= MAX_FRAME_CHARS else frame[:MAX_FRAME_CHARS] + "\n" for frame in frames]


def _chain(error: BaseException) -> Iterator[BaseException]:
    # User code may chain errors in a circle.
    seen: set[int] = set()
    link: BaseException | None = _cause_of(error)
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is_unreachable(error: BaseException) -> bool:
    return isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in _NO_ROUTE)
