"""The bucket client, every way."""

import contextlib
import json
import os
import shutil
import signal
import threading
import zipfile


def handler(event, context):
    return globals()[event](context)


def reads(context):
    photos = context.bucket("photos")
    with photos.open("deep/ü a.txt") as file:
        start = file.read(4).decode()
        file.seek(0)
        whole = file.read().decode()
    with photos.open("deep/ü a.txt", "r") as file:
        lines = list(file)
    return {
        "start": start,
        "whole": whole,
        "lines": lines,
        "bytes": photos.read_bytes("b.bin").hex(),
        "text": photos.read_text("a.txt"),
    }


def writes(context):
    thumbs = context.bucket("thumbs")
    thumbs.write_bytes("bytes", b"\x00\xff")
    thumbs.write_text("text", "ü")
    with thumbs.open("deep/down/text", "w") as file:
        json.dump({"a": "ü"}, file, ensure_ascii=False)
    with thumbs.open("archive.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("name", "content")
    file = thumbs.open("large", "wb")
    file.write(b"x" * 3_000_000)
    file.close()
    file.close()
    with context.bucket("photos").open("a.txt") as source, thumbs.open("copy", "wb") as target:
        shutil.copyfileobj(source, target)
    return sorted(found.key for found in thumbs.list())


def fails_while_writing(context):
    for mode, data in (("wb", b"half"), ("w", "half")):
        try:
            with context.bucket("thumbs").open("half-" + mode, mode) as file:
                file.write(data)
                raise ValueError("in the middle")
        except ValueError:
            pass
    file = context.bucket("thumbs").open("discarded", "wb")
    file.write(b"x" * 100_000)
    file.discard()
    file.close()
    return [found.key for found in context.bucket("thumbs").list()]


def forgets_to_close(context):
    context.bucket("thumbs").open("forgotten", "wb").write(b"x")
    context.bucket("thumbs").open("forgotten-text", "w").write("x")


def raises_without_with(context):
    file = context.bucket("thumbs").open("half", "wb")
    file.write(b"half")
    raise ValueError("before close")


def too_large(context):
    with context.bucket("thumbs").open("large", "wb") as file:
        for _ in range(64):
            file.write(b"x" * 65_536)


kept = []


def keeps(context):
    kept.append((context, context.bucket("thumbs").open("kept", "wb")))


def uses_kept(context):
    old, file = kept.pop()
    errors = []
    for action in (lambda: old.bucket("photos").read_bytes("a.txt"), file.close):
        try:
            action()
        except RuntimeError as error:
            errors.append(str(error))
    return errors


def lists(context):
    photos = context.bucket("photos")
    return {
        "all": [[found.key, found.size, found.modified_ms > 0] for found in photos.list()],
        "prefix": [found.key for found in photos.list("deep/")],
        "after": [found.key for found in photos.list(after="a.txt")],
        "exists": [photos.exists("a.txt"), photos.exists("a.tx"), photos.exists("none")],
        "text": repr(photos),
    }


def counts(context):
    return len(list(context.bucket("photos").list()))


def deletes(context):
    thumbs = context.bucket("thumbs")
    thumbs.write_bytes("gone", b"")
    thumbs.delete("gone")
    return thumbs.exists("gone")


def refusals(context):
    attempts = {
        "missing": lambda: context.bucket("photos").read_bytes("none"),
        "read only": lambda: context.bucket("photos").write_bytes("a.txt", b""),
        "key that is no text": lambda: context.bucket("photos").read_bytes("caf\udce9.txt"),
        "bad key": lambda: context.bucket("photos").read_bytes("../a.txt"),
        "undeclared": lambda: context.bucket("other"),
        "mode": lambda: context.bucket("photos").open("a.txt", "ab"),
        "long key": lambda: context.bucket("photos").read_bytes("k" * 100_000),
        "delete": lambda: context.bucket("thumbs").delete("none"),
    }
    found = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except Exception as error:
            found[name] = [type(error).__name__, str(error)]
    return found


def threads(context):
    read = []

    def work():
        for _ in range(20):
            read.append(context.bucket("photos").read_text("a.txt"))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [len(read), len(set(read))]


def seeks(context):
    photos, thumbs = context.bucket("photos"), context.bucket("thumbs")
    found = {}
    with photos.open("large") as file:
        found["end"] = [file.seek(0, os.SEEK_END), (file.seek(-3, os.SEEK_END), file.read().hex())[1]]
        file.seek(0x80)
        found["middle"] = file.read(4).hex()
        file.seek(0)
        found["whole"] = len(file.read())
        file.seek(5_000_000)
        found["past"] = file.read().hex()
        try:
            file.seek(-1)
        except (OSError, ValueError):
            found["negative"] = "OSError"
    with thumbs.open("patched", "wb") as file:
        file.write(b"head" + b"x" * 600_000)
        file.seek(0)
        file.write(b"HEAD")
        file.seek(8, os.SEEK_END)
        file.write(b"tail")
    with thumbs.open("archive.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name in ("one", "two"):
            archive.writestr(name, "content")
    with photos.open("deep/ü a.txt", "r") as file:
        found["lines"] = 1 + len(file.readlines())
    return found


class Torn(Exception):
    pass


def _tear(_number, _frame):
    raise Torn


def is_torn(context):
    torn = wrong = 0
    signal.signal(signal.SIGALRM, _tear)
    for number in range(200):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 * (1 + number % 40))
            data = context.bucket("photos").read_bytes("large")
            wrong += data != b"0123456789" * 300_000
            with context.bucket("thumbs").open("copy", "wb") as file:
                file.write(data)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Torn:
            torn += 1
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    wrong += context.bucket("photos").read_bytes("large") != b"0123456789" * 300_000
    with contextlib.closing(context.bucket("thumbs").open("whole", "wb")) as file:
        file.write(b"0123456789" * 300_000)
    return [torn, wrong]


def opens_many(context):
    opened = 0
    for number in range(200):
        file = context.bucket("photos").open("a.txt")
        opened += file.read() == b"content of a"
        if number % 2:
            file.close()
        del file
    return opened
