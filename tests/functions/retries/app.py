"""Handlers that fail in ways that say something about a further attempt. They count in a file beside the sandboxes."""

import os
import pathlib

import faas


# Sandboxes that are processes of root's platform are users of their own, and count in the same files.
os.umask(0)


def _count(path):
    with pathlib.Path(path).open("a") as file:
        file.write("x")
    return pathlib.Path(path).stat().st_size


def fails_until(event, context):
    if _count(event["file"]) < event["good"]:
        raise ValueError("not yet")
    return "done"


def gives_up(event, context):
    _count(event["file"])
    raise faas.DoNotRetry("never")


def asks_for_time(event, context):
    if _count(event["file"]) < 2:
        raise faas.RetryAfter(event["seconds"])
    return "done"


def notes_its_attempt(event, context):
    with pathlib.Path(event["file"]).open("a") as file:
        file.write(f"{context.attempt} ")
    if context.attempt < 3:
        raise ValueError("not yet")
