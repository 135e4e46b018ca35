"""Prints while it is imported, and by what goes on when the handler has returned."""

import atexit
import os
import subprocess
import sys
import threading
import time

print("imported")
atexit.register(lambda: print("at exit"))


def handler(event, context):
    print("handled")
    if event == "thread":
        threading.Thread(target=_later, args=("late from a thread",)).start()
    elif event == "child":
        subprocess.Popen(["sh", "-c", "sleep 0.2; echo late from a child"])
    elif event == "fork" and os.fork() == 0:
        _later("late from a fork")
        os._exit(0)
    elif event == "exit":
        sys.exit(3)


def _later(text):
    time.sleep(0.2)
    print(text)
