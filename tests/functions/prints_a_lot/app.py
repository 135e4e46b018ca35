"""Prints as many mebibytes as the event says."""

import sys


def handler(event, context):
    line = "x" * 1023 + "\n"
    for _ in range(event):
        for _ in range(64):
            sys.stdout.write(line * 16)
    print("the end")
    return event
