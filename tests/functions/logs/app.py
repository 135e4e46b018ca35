"""Everything that writes."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys

logging.warning("while importing")


def handler(event, context):
    return globals()[event]()


def root_logger():
    root = logging.getLogger()
    level = root.level
    logging.basicConfig(level=logging.DEBUG, format="changed %(message)s")
    logging.info("not shown, the level is WARNING")
    logging.warning("shown ü")
    root.setLevel(logging.INFO)
    logging.getLogger("mine").info("shown after setLevel")
    root.setLevel(logging.WARNING)
    return {"handlers": len(root.handlers), "level": level}


def with_traceback():
    try:
        raise ValueError("inside")
    except ValueError:
        logging.exception("it failed")


def all_streams():
    print("one")
    sys.stdout.write("two without end")
    sys.stderr.write(" three on stderr\n")
    subprocess.run(["sh", "-c", "echo four from a child; echo five from its stderr >&2"], check=True)
    os.write(1, b"six from the descriptor\n")
    sys.stdout.buffer.write(b"seven in bytes\n")
    print("eight", "with", "parts", sep="-")
    sys.stdout.write("nine, the last, without end")


def structured():
    print(json.dumps({"level": "INFO", "message": "ünïcode", "nested": {"a": [1, 2]}}, ensure_ascii=False))
    print('{"_aws": {"Timestamp": 1, "CloudWatchMetrics": []}}')


def odd_text():
    print("lone surrogate \ud800 and bytes " + os.fsdecode(b"\xff"))
    sys.stdout.buffer.write(b"not utf-8: \xff\n")


def redirected():
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        print("caught")
        logging.warning("caught too")
    return caught.getvalue().count("caught")


def buffered():
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False), encoding="utf-8")
    print("kept back by a stream of my own")


def closed():
    sys.stdout.close()
    os.close(1)


def prints():
    print("printed")


def keeps_back():
    sys.stdout.reconfigure(write_through=False)
    print("kept back by the stream that is there")


def detached():
    sys.stdout.detach()
    os.write(1, b"past it\n")
