"""What a handler finds around itself."""

import os
import subprocess
import sys

import beside


def handler(event, context):
    with open("/tmp/kept", "a") as kept:
        kept.write("x")
    return {
        "cwd": os.getcwd(),
        "path0": sys.path[0],
        "task_root": os.environ["LAMBDA_TASK_ROOT"],
        "beside": beside.NAME,
        "data": open("data.txt").read(),
        "dotfile": open(".dotfile").read(),
        "tmp_mode": oct(os.stat("/tmp").st_mode & 0o7777),
        "kept": len(open("/tmp/kept").read()),
        "uid": os.getuid(),
        "shell": subprocess.run(["sh", "-c", "echo from sh"], capture_output=True, text=True, check=True).stdout,
        "writable": _writable(),
        "argv": sys.argv,
    }


def _writable():
    try:
        with open("written-beside", "w"):
            return True
    except OSError as error:
        return type(error).__name__
