"""Children that are forked and run on into the platform's code, and those that do it right."""

import multiprocessing
import os
import signal
import sys
import time


def handler(event, context):
    return globals()[event](context)


def returns_twice(context):
    child = os.fork()
    if child == 0:
        return "from the child"
    return {"child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


def raises_in_child(context):
    child = os.fork()
    if child == 0:
        raise ValueError("in the child")
    return {"child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


def exits_in_child(context):
    child = os.fork()
    if child == 0:
        sys.exit(7)
    return {"child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}


def bucket_in_child(context):
    child = os.fork()
    if child == 0:
        try:
            context.bucket("photos").read_bytes("a.txt")
        except RuntimeError as error:
            print("refused:", error)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def terminates(context):
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()
    return process.exitcode


def pipes(context):
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=there.send, args=("through a pipe",))
    process.start()
    process.join()
    return here.recv()


def spawns(context):
    process = multiprocessing.get_context("spawn").Process(target=print, args=("spawned",))
    process.start()
    process.join()
    return process.exitcode


def stays_behind(context):
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    return child
