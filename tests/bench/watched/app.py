"""A handler that prints when it was, fails when it is told to, and else does nothing."""

import json
import time


def handler(event, context):
    asked = json.loads(event.get("body") or "{}")
    if asked.get("fail"):
        raise ValueError("as it was told")
    if asked.get("print"):
        print("printed", time.time_ns(), flush=True)
        time.sleep(0.3)
    return {}
