"""Takes as many seconds as the event says, or for ever."""

import threading
import time


def handler(event, context):
    print("started")
    if event == "for ever":
        threading.Event().wait()
    time.sleep(event)
    return context.get_remaining_time_in_millis()
