"""Dies of the signal that the event names."""

import os
import signal


def handler(event, context):
    print("before the end", flush=True)
    os.kill(os.getpid(), getattr(signal, event))
    return "survived"
