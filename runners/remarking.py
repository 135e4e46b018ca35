"""What is said in a function's log of answers that are not as HTTP responses are: each thing once."""

from __future__ import annotations

from faas.core import model
from faas.core.http import replies
from faas.core.values import large_json
from runners.sandbox import base

_OK = model.Status.OK
_MOST_KNOWN = 10_000


class Remarks:
    """Knows what it has said of the revisions of one node."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def of(self, invocation: model.Invocation, ran: base.Ran, at_ms: int) -> tuple[model.LogLine, ...]:
        """The lines for the log of an attempt; nearly always none."""
        if invocation.trigger != replies.TRIGGER or ran.is_bytes or ran.status is not _OK:
            return ()
        is_large = len(ran.body) > large_json.LARGE_BYTES
        found = ran.remarks or (() if is_large else replies.remarks(ran.body))
        return self._fresh(invocation.ref, found, at_ms) if found else ()

    def _fresh(self, ref: str, found: tuple[str, ...], at_ms: int) -> tuple[model.LogLine, ...]:
        fresh = [remark for remark in found if (ref, remark) not in self._said]
        if len(self._said) > _MOST_KNOWN:
            self._said.clear()
        self._said.update((ref, remark) for remark in fresh)
        return tuple(model.LogLine(at_ms, f"faas: the answer to this request: {remark}") for remark in fresh)
