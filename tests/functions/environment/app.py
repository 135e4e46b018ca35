"""The environment while importing and while handling."""

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
    }
