"""What the torture runs: every handler first leaves evidence of its run that no part of the platform keeps."""

import json
import os
import time
import uuid

REVISION = os.environ.get("REVISION", "0")


def _leave(event, context):
    records = event.get("Records") or [{}]
    told = {
        "function": context.function_name,
        "revision": REVISION,
        "due": event.get("time", ""),
        "key": records[0].get("s3", {}).get("object", {}).get("key", ""),
    }
    name = f"{context.invocation_id}/{context.attempt}/{uuid.uuid4().hex[:8]}"
    context.bucket("evidence").write_text(name.replace("/", "."), json.dumps(told))


def echo(event, context):
    _leave(event, context)
    return {"statusCode": 200, "body": event.get("body") or ""}


def slow(event, context):
    _leave(event, context)
    time.sleep(float(event["body"]))
    return "slept"


def crashes(event, context):
    _leave(event, context)
    raise RuntimeError("crashes, as it was told to")


def exits(event, context):
    _leave(event, context)
    os._exit(3)


def hungry(event, context):
    _leave(event, context)
    eaten = []
    while True:
        eaten.append(bytearray(b"x" * (8 << 20)))


def endless(event, context):
    _leave(event, context)
    while True:
        time.sleep(1)


def uploads(event, context):
    _leave(event, context)


def ticks(event, context):
    _leave(event, context)


def probed(event, context):
    return echo(event, context)
