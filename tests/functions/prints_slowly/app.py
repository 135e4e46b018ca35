"""Prints while it is imported, while it runs, and when it has returned; each line says when it was printed."""

import threading
import time

print("imported")


def handler(event, context):
    for number in range(event["lines"]):
        print(f"{event['name']} {number} {time.time()}")
        time.sleep(event.get("pause_s", 0))
    print("without end", end="")
    if event.get("late"):
        threading.Thread(target=_later).start()


def _later():
    time.sleep(0.2)
    print("late")
