"""What functions printed."""

from __future__ import annotations

import msgspec

from faas.core.logs import log_lines


class LogLines(msgspec.Struct, frozen=True, kw_only=True):
    """Log lines in order. ``next`` goes into ``after`` of the request for what follows; ``next_id`` is its first part.

    ``is_cut`` says that the time was up before all was looked at: up to the line ``reached_id``, printed at
    ``reached_ms``, it was. A search among the last lines goes on with that id as ``before``, another with ``next``.
    A line whose ``id`` is 0 has just been printed, and comes once more when it is recorded.
    """

    lines: tuple[log_lines.LogRow, ...]
    next_id: int
    next: str
    is_cut: bool = False
    reached_id: int | None = None
    reached_ms: int | None = None
