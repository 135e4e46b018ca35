"""Fills memory: without end, or as many mebibytes as the event says."""


def handler(event, context):
    held = []
    while event is None or len(held) < event:
        held.append(b"x" * (1 << 20))
    return len(held)
