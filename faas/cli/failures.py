"""How an error leaves the command line: one line on stderr (with ``--json`` one object) and an exit code.

A traceback of the platform's own is never shown: it goes to ``logs/cli.log`` in the data directory.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from faas.cli import exits, terminal
from faas.core import errors
from faas.core import settings as settings_module

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Why a write fails whatever is written; those of files that are opened by name say which."""


class ReaderGone(Exception):
    """Whoever read our stdout has read enough; what click makes of a `BrokenPipeError` would be exit code 1."""


def wants_json(arguments: list[str]) -> bool:
    """Whether the caller asked for JSON; read from the arguments because parsing them is what may have failed."""
    # What stands behind it is the command's argument, whatever it looks like.
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in before


def report(error: BaseException, *, as_json: bool, data_dir: str | None = None) -> int:
    """Say what went wrong on stderr and return the exit code. ``data_dir`` is what ``--data-dir`` said."""
    error = _alone(error)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _say(exits.INTERRUPTED, {"code": "interrupted", "message": "interrupted"}, as_json)
    # rich turns a broken pipe into an exit of its own.
    if isinstance(error, BrokenPipeError | ReaderGone) or isinstance(error.__context__, BrokenPipeError):
        return _reader_has_gone()
    if isinstance(error, click.ClickException):
        return _say(exits.USAGE, _usage(error), as_json)
    if isinstance(error, errors.FaasError):
        return _say(error.exit_code, error.body()["error"], as_json)
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
        _give_up_stdout()
        return _say(exits.INTERNAL, {"code": "internal", "message": f"cannot write: {error.strerror}"}, as_json)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else exits.OK
    return _say(exits.INTERNAL, _unexpected(error, data_dir), as_json)


def _alone(error: BaseException) -> BaseException:
    """The one error that a group of tasks failed with."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _reader_has_gone() -> int:
    """Whoever read our stdout (``head``) has read enough: that is no error, and Python must not complain at exit."""
    _give_up_stdout()
    return exits.OK


def _give_up_stdout() -> None:
    # What Python still holds for stdout is written at its end, and would fail there once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(error: click.ClickException) -> dict[str, Any]:
    body: dict[str, Any] = {"code": "usage", "message": error.format_message()}
    context = getattr(error, "ctx", None)
    if context is not None:
        body["hint"] = f"see `{context.command_path} --help`"
    return body


def _unexpected(error: BaseException, data_dir: str | None) -> dict[str, Any]:
    what = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
    log = _keep_traceback(error, data_dir)
    return {"code": "internal", "message": what, **({"hint": f"details are in {log}"} if log else {})}


def _keep_traceback(error: BaseException, data_dir: str | None) -> Path | None:
    """Append the traceback to ``logs/cli.log`` of the data directory, or of the temporary folder when that fails."""
    import tempfile

    text = "".join(traceback.format_exception(error))
    for folder in (_logs_folder(data_dir), Path(tempfile.gettempdir())):
        if folder is None:
            continue
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = folder / "cli.log"
            with open(log, "a", opener=_for_the_owner) as file:
                file.write(f"{' '.join(sys.argv)}\n{text}\n")
        except OSError:
            continue
        return log
    return None


def _for_the_owner(path: str, flags: int) -> int:
    """A traceback may hold what an event held; in the temporary folder nobody else's file or link is written to."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _logs_folder(data_dir: str | None) -> Path | None:
    try:
        return settings_module.load(flags={"data_dir": data_dir}).data.root / "logs"
    except errors.FaasError:
        return None


def _say(code: int, body: dict[str, Any], as_json: bool) -> int:
    text = json.dumps({"error": body}, default=str) if as_json else terminal.shown("\n".join(_lines(body)), sys.stderr)
    print(text, file=sys.stderr)
    return code


def _lines(body: dict[str, Any]) -> list[str]:
    lines = [f"faas: {line}" for line in str(body["message"]).splitlines() or [body["code"]]]
    if body.get("hint"):
        lines.append(f"  hint: {body['hint']}")
    return lines
