"""Handlers for calls that nobody waits for."""

import json

import faas

_seen = {}


def second_time(event, context):
    """Fails the first time that it sees an invocation."""
    _seen[context.invocation_id] = _seen.get(context.invocation_id, 0) + 1
    if _seen[context.invocation_id] == 1:
        raise ValueError("not yet")
    return {"body": json.dumps(_seen[context.invocation_id])}


def never(event, context):
    raise faas.DoNotRetry("it is hopeless")
