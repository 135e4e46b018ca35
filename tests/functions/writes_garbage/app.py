"""Writes what is no frame to every socket that it finds, the agent's among them."""

import os
import stat


def handler(event, context):
    for entry in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(entry)).st_mode):
                os.write(int(entry), b"\xff" * 64)
        except OSError:
            continue
    return "wrote"
