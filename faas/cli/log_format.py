"""How the platform's processes write their logs: one line per event, its fields as ``key=value`` behind its name."""

from __future__ import annotations

import logging

from faas.cli import log_shares
from faas.core import groups

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """``2026-01-31 12:00:00,123 WARNING faas.cli.child process_ended process=node code=SIGKILL``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with every field that was given as ``extra``."""
        fields = [(key, value) for key, value in record.__dict__.items() if key not in _STANDARD]
        return " ".join([super().formatMessage(record), *(f"{key}={_shown(value)}" for key, value in fields)])


def start(platform_logs: groups.PlatformLogs) -> None:
    """Send this process's events to stderr, which `faas up` keeps in ``logs/<process>.log``."""
    handler = log_shares.Handler(platform_logs.max_function_log_kb * 1024)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # each process looks whether there is anything to migrate


def _shown(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or not c.isprintable() for c in text) else text
