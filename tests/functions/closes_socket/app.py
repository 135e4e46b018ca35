"""Closes every descriptor but the first three."""

import os


def handler(event, context):
    if event == "stay":
        return "stayed"
    os.closerange(3, 4096)
    return "never heard"
