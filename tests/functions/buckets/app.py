"""The bucket client, every way."""

import json
import shutil
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
