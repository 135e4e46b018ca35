"""Traces as W3C Trace Context has them: which trace and spans invocations belong to, and how this is written. Pure.

::

    trace    a chain of functions that triggered one another
    └ span   an invocation: from acceptance until it is settled; its parent is that of the invocation it follows from
      └ span   an attempt at it: the one that the handler is told as its own

Ids follow from those of invocations, so nothing is stored or sent for them, and whoever knows a record knows its spans.
Only where a caller brought a trace context of its own (``traceparent``) it travels along (`model.TraceContext`).
A trace id that is made here begins with the second of its chain's first invocation, as X-Ray wants it.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Sequence

from faas.core import ids, model

PARENT = "traceparent"
STATE = "tracestate"
SAMPLED = 1
"""The flag which says that whoever comes before has written down its part. Records are, so it is set by default."""

_KNOWN_FLAGS = 3
_PARENT_BYTES = 55
_MOST_MEMBERS = 32
_STATE_BYTES = 512
"""The longest tracestate that is passed on; whole members are left out from its end beyond that."""

_HEX = re.compile("[0-9a-f]+").fullmatch
_OF_FIRST = dict(zip("89ab", "0123", strict=True))
"""The first digit of an attempt's span by that of its invocation's, which the form of ids leaves four of."""

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


def read(fields: Iterable[tuple[str, str]]) -> model.TraceContext | None:
    """The trace context that header fields bring, with names in lower case; None when there is none that is right.

    By the rules, what is wrong is left out without a word: the caller's tracing must not cost it its call.
    """
    given = [(name, value) for name, value in fields if name in (PARENT, STATE)]
    parents = [value for name, value in given if name == PARENT]
    parent = written(parents[0]) if len(parents) == 1 else None
    if parent is None:
        return None
    return model.TraceContext(parent, _state([value for name, value in given if name == STATE]))


def written(traceparent: str) -> str | None:
    """A traceparent as this version writes it; None for what is none."""
    found = _PARENT.fullmatch(traceparent)
    # A later version may have more behind, and what it has before that means the same.
    if found is None or (found[1] == "00" and found[5] is not None):
        return None
    return f"00-{found[2]}-{found[3]}-{int(found[4], 16) & _KNOWN_FLAGS:02x}"


def _state(values: Sequence[str]) -> str:
    members = [member for member in (each.strip(" \t") for each in ",".join(values).split(",")) if member]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MOST_MEMBERS or len(keys) < len(members) or not all(map(_MEMBER.fullmatch, members)):
        return ""
    while len(state := ",".join(members)) > _STATE_BYTES:
        members.pop()
    return state


def trace_id(root_id: str, trace: model.TraceContext | None = None) -> str:
    """The trace of a chain: the one that its caller named, or the one that follows from its first invocation's id."""
    if trace is not None:
        return trace.parent[3:35]
    if len(root_id) != ids.LENGTH:
        return _hashed(root_id, 32)
    return _second(root_id[:13]) + root_id[9:].replace("-", "")


@functools.lru_cache(maxsize=4096)
def _second(begin: str) -> str:
    """The second at which an id was made, by the digits of its milliseconds, as X-Ray has it. 0 for what is no id."""
    digits = begin[:8] + begin[9:]
    return f"{int(digits, 16) // 1000 & 0xFFFFFFFF:08x}" if _HEX(digits) else "00000000"


def span_id(invocation_id: str) -> str:
    """The span of an invocation: the second half of its id, which is never zero."""
    if len(invocation_id) != ids.LENGTH:
        return _hashed(invocation_id, 16)
    return invocation_id[19:23] + invocation_id[24:]


def attempt_span_id(invocation_id: str, attempt: int) -> str:
    """The span of an attempt: that of its invocation, changed by its number."""
    span = span_id(invocation_id)
    if attempt == 1 and span[0] in _OF_FIRST:
        return _OF_FIRST[span[0]] + span[1:]
    try:
        return f"{int(span, 16) ^ attempt:016x}"
    except ValueError:
        return _hashed(f"{invocation_id} {attempt}", 16)


def _hashed(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:digits]


def flags(trace: model.TraceContext | None) -> int:
    """The flags of a trace."""
    return SAMPLED if trace is None else int(trace.parent[53:], 16)


def parent_span_id(record: model.Record) -> str:
    """The span that the span of a record's invocation is a part of; '' for none."""
    if record.trace is not None:
        return record.trace.parent[36:52]
    return span_id(record.parent_id) if record.parent_id is not None else ""


def onward(cause: model.Invocation) -> model.TraceContext | None:
    """What goes along to what follows from an invocation, when its caller brought a trace: its span is the parent."""
    if cause.trace is None:
        return None
    parent = f"00-{cause.trace.parent[3:35]}-{span_id(cause.id)}-{flags(cause.trace):02x}"
    return model.TraceContext(parent, cause.trace.state)


def outgoing(cause: model.Invocation) -> dict[str, str]:
    """The header fields of a request to elsewhere that follows from an invocation."""
    trace = onward(cause) or model.TraceContext(f"00-{trace_id(cause.chain_id)}-{span_id(cause.id)}-{SAMPLED:02x}")
    return {PARENT: trace.parent, **({STATE: trace.state} if trace.state else {})}


def told(invocation: model.Invocation) -> str:
    """What an attempt is told of its trace, one line each.

    First the X-Ray header; then, only where the caller brought a trace, traceparent and tracestate. Without these
    the traceparent is that of the first line, sampled.
    """
    id, root_id, trace = invocation.id, invocation.root_id or invocation.id, invocation.trace
    if trace is None and invocation.attempt == 1 and len(id) == len(root_id) == ids.LENGTH and id[19] in _OF_FIRST:
        # What nearly every attempt is told, in one go: it is on the way of every call.
        second, digits = _second(root_id[:13]), root_id[9:].replace("-", "")
        return f"Root=1-{second}-{digits};Parent={_OF_FIRST[id[19]]}{id[20:23]}{id[24:]};Sampled=0"
    in_trace, span, given = trace_id(root_id, trace), attempt_span_id(id, invocation.attempt), flags(trace)
    header = f"Root=1-{in_trace[:8]}-{in_trace[8:]};Parent={span}"
    if trace is None:
        return f"{header};Sampled=0"
    return f"{header};Sampled={given & SAMPLED}\n00-{in_trace}-{span}-{given:02x}\n{trace.state}"
