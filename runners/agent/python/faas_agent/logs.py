"""The root logger as Lambda sets it up: one handler, tab-separated lines with the request id, level WARNING."""

from __future__ import annotations

import logging
import sys
import time

_LINE = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"


class LogHandler(logging.Handler):
    """Writes each record in one piece to what ``sys.stdout`` is at that moment. ``request_id`` is set per attempt."""

    request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; trouble goes where `logging` sends it."""
        try:
            sys.stdout.write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - the contract of logging.Handler: a log line never breaks the program
            self.handleError(record)

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the request id on the record, also for formatters that the user gives to this handler."""
        record.aws_request_id = self.request_id
        return bool(super().filter(record))


def set_up() -> LogHandler:
    """Give the root logger its handler, so that a `logging.basicConfig` without ``force`` changes nothing."""
    formatter = logging.Formatter(_LINE, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = LogHandler()
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    return handler
