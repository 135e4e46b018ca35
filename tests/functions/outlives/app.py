"""Threads and children that go on after the handler has returned."""

import os
import subprocess
import threading

going = threading.Event()
finished = threading.Event()


def handler(event, context):
    if event == "thread":
        threading.Thread(target=_print_later, daemon=False).start()
    elif event == "child":
        subprocess.Popen(["sh", "-c", "read line; echo late from the child"], stdin=_pipe())
    elif event == "bucket thread":
        threading.Thread(target=_use_bucket_later, args=(context,)).start()
    elif event == "go":
        going.set()
        finished.wait(10)
        os.close(_end) if _end is not None else None
    return "returned"


_end = None


def _pipe():
    global _end
    reading, _end = os.pipe()
    os.set_inheritable(reading, True)
    return reading


def _print_later():
    going.wait(10)
    print("late from the thread")
    finished.set()


def _use_bucket_later(context):
    going.wait(10)
    try:
        context.bucket("photos").read_bytes("a.txt")
    except RuntimeError as error:
        print("refused:", error)
    finished.set()
