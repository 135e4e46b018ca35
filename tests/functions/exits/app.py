"""Ends the process, or tries to."""

import os
import sys


class Unprintable:
    def __str__(self):
        raise RuntimeError("no text")


def handler(event, context):
    print("before the exit")
    if event == "nothing":
        sys.exit()
    if event == "at once":
        os._exit(4)
    if event == "text":
        sys.exit("the reason")
    if event == "unprintable":
        sys.exit(Unprintable())
    if event is not None:
        sys.exit(event)
    return "stayed"


async def async_handler(event, context):
    sys.exit(event)
