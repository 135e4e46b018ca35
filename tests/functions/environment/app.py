"""The environment while importing and while handling."""

import ctypes
import locale
import os
import subprocess
import sys
import time

at_import = dict(os.environ)


def handler(event, context):
    return {
        "at_import": at_import,
        "now": dict(os.environ),
        "child": subprocess.run(["env"], capture_output=True, text=True).stdout,
        "tzname": time.tzname,
        "local_is_utc": time.localtime(0)[:6] == time.gmtime(0)[:6],
        "utf8": "ü".encode(sys.getfilesystemencoding()).hex(),
        "path": sys.path,
        "traceparent": context.traceparent,
        "tracestate": context.tracestate,
    }


def meddler(event, context):
    """What the environment is at first, as Python, C and a child see it; then it is meddled with as the event says."""
    name = "_X_AMZN_TRACE_ID"
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_char_p
    child = subprocess.run(["sh", "-c", f'echo "${name}"'], capture_output=True, text=True).stdout.strip()
    seen = [os.environ.get(name), (libc.getenv(name.encode()) or b"").decode(), child]
    if event == "sets":
        os.environ[name] = "mine"
    elif event == "deletes":
        os.environ.pop(name, None)
    elif event == "clears":
        os.environ.clear()
    elif event == "sets past Python":
        os.putenv(name, "mine")
    elif event == "deletes past Python":
        os.unsetenv(name)
    elif event == "replaces":
        os.environ = dict(os.environ)
    return seen
