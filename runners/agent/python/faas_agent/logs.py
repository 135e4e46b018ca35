"""The root logger as Lambda sets it up: one handler, tab-separated lines with the request id, level WARNING.

What a call gives as ``extra`` follows the message as a JSON object, behind one more tab: Lambda leaves it out.
"""

from __future__ import annotations

import json
import logging
import sys
import time

_LINE = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "aws_request_id"}


class LineFormatter(logging.Formatter):
    """Lambda's line, with the fields of ``extra``."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line; of a message of several lines the fields belong to the first, as the level does."""
        text = super().formatMessage(record)
        extra = record.__dict__.keys() - _STANDARD
        if not extra:
            return text
        first, end, rest = text.partition("\n")
        return f"{first}\t{_as_json({key: record.__dict__[key] for key in sorted(extra)})}{end}{rest}"


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
    formatter = LineFormatter(_LINE, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = LogHandler()
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    return handler


def _as_json(fields: dict[str, object]) -> str:
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError):  # keys that are no text, a ring of references, a number that JSON has not
        return json.dumps({key: str(value) for key, value in fields.items()}, ensure_ascii=False)
