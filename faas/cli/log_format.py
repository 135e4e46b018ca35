"""How the platform's processes write their logs: a JSON object an event, or on a terminal its fields as ``key=value``.

``{"time": "2026-01-31T12:00:00.123Z", "level": "warning", "logger": "faas.cli.child", "action": "process_ended", …}``
"""

from __future__ import annotations

import logging
import sys
import time

import msgspec

from faas.cli import log_shares
from faas.core import groups
from faas.core.values import unreadable

_MOST_TEXT = log_shares.LINE_BYTES // 4
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """``2026-01-31 12:00:00,123 WARNING faas.cli.child process_ended process=node code=SIGKILL``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with every field that was given as ``extra``."""
        fields = [(key, value) for key, value in record.__dict__.items() if key not in _STANDARD]
        return " ".join([super().formatMessage(record), *(f"{key}={_shown(value)}" for key, value in fields)])


class JsonFormatter(logging.Formatter):
    """An event as a JSON object; its traceback, where it has one, is the field ``trace``."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """The line. Long texts are cut each for itself, so that it stays JSON."""
        fields = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": record.getMessage(),
            **{key: value for key, value in record.__dict__.items() if key not in _STANDARD},
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode({key: _told(value) for key, value in fields.items()}).decode()


def words(line: str) -> str:
    """What a person reads of a line of a log, where there is room for its words only."""
    try:
        held = msgspec.json.decode(line, type=dict[str, object])
    except unreadable.ERRORS:
        return line
    told = (held.get(name) for name in ("action", "reason", "trace"))
    return ": ".join(str(each).strip().rpartition("\n")[2] for each in told if each)


def start(platform_logs: groups.PlatformLogs) -> None:
    """Send this process's events to stderr, which `faas up` keeps in ``logs/<process>.log``."""
    handler = log_shares.Handler(platform_logs.max_function_log_kb * 1024)
    handler.setFormatter(EventFormatter() if sys.stderr.isatty() else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # each process looks whether there is anything to migrate


def _told(value: object) -> str | int | float | bool | None:
    if isinstance(value, int | float | bool | None):
        return value
    text = str(value)
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]} [cut: {len(text)} characters]"
    # What was read with surrogates in place of bytes could not be written.
    return text.encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or not c.isprintable() for c in text) else text
