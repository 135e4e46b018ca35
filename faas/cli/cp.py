"""`faas cp`: files into and out of buckets. A bucket's side is written ``bucket:key``."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import click
import msgspec

from faas.cli import client, left_out, options, output, places, transfer, written
from faas.core import errors

_CHUNK_BYTES = 1 << 20


class Remote(msgspec.Struct, frozen=True):
    """A key of a bucket, or with ``-r`` the start of many keys."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.bucket}:{self.key}"


class Copied(msgspec.Struct, frozen=True):
    """One file that was copied."""

    source: str
    target: str
    bytes: int


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--recursive", "-r", is_flag=True, help="Copy a folder, or every key below a prefix.")
@options.json_option
def cp_command(*, source: str, target: str, recursive: bool, as_json: bool) -> None:
    """Copy SOURCE to TARGET; one of them is in a bucket: bucket:key. "-" is stdin or stdout.

    A key that ends in "/" (or is empty) takes the file's own name. Write ./a:b for a file whose name holds a colon.

    \b
    faas cp cat.jpg photos:in/
    faas cp photos:in/cat.jpg .
    faas cp -r ./album photos:in/
    faas cp -r thumbs: ./thumbs
    """
    here, there = parse(source), parse(target)
    # Both would write to stdout, and what reads it could part neither from the other.
    if as_json and target == "-":
        raise errors.BadRequest("stdout takes either the object or --json", hint="copy into a file")
    api = client.connect()
    if isinstance(there, Remote) and not isinstance(here, Remote):
        copied = list(_put_all(api, Path(source), there) if recursive else _put_one(api, source, there))
    elif isinstance(here, Remote) and not isinstance(there, Remote):
        copied = list(_get_all(api, here, Path(target)) if recursive else _get_one(api, here, target))
    else:
        raise errors.BadRequest("one side must be in a bucket, the other a file", hint="faas cp cat.jpg photos:in/")
    if as_json:
        output.emit([msgspec.to_builtins(each) for each in copied])


def parse(text: str) -> Remote | None:
    """``bucket:key``, or None for a path of this machine (anything with a slash before its first colon)."""
    bucket, colon, key = text.partition(":")
    # As scp has it: a path with a slash before the colon is of this machine.
    return Remote(bucket, key) if colon and bucket and "/" not in bucket else None


def _put_one(api: client.Client, source: str, there: Remote) -> Iterator[Copied]:
    if source == "-":
        if there.key.endswith("/") or not there.key:
            raise errors.BadRequest("stdin has no name: write the whole key")
        yield _put(api, sys.stdin.buffer, "-", there)
        return
    path = Path(source)
    if path.is_dir():
        raise errors.BadRequest(f"{path} is a folder", hint="copy it with -r")
    yield _put_file(api, path, Remote(there.bucket, _joined(there.key, path.name)))


def _put_all(api: client.Client, folder: Path, there: Remote) -> Iterator[Copied]:
    if not folder.is_dir():
        raise errors.BadRequest(f"{folder} is no folder", hint="copy a file without -r")
    prefix = there.key if not there.key or there.key.endswith("/") else f"{there.key}/"
    # Sorted, so that two copies of a folder put objects, and start functions, in one order.
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        below = path.relative_to(folder)
        # Half-written objects have such names, and so no object has.
        if any(name.startswith(".") for name in below.parts):
            output.say(f"{path} is left out: an object's key has no name that starts with a dot")
        else:
            yield _put_file(api, path, Remote(there.bucket, prefix + below.as_posix()))


def _put_file(api: client.Client, path: Path, there: Remote) -> Copied:
    try:
        with path.open("rb") as file:
            return _put(api, file, str(path), there)
    except (FileNotFoundError, PermissionError) as error:
        raise errors.BadRequest(f"{path}: {error.strerror}") from error


def _put(api: client.Client, file: IO[bytes], name: str, there: Remote) -> Copied:
    size = _size(file)
    # The platform compares it with what comes, so that a file that was cut short is no object.
    headers = {} if size is None else {"Content-Length": str(size)}
    with transfer.Transfer(name, size) as passed:
        api.send("PUT", _path(there), body=_chunks(file, name, size, passed), headers=headers)
    output.say(f"{name} -> {there} ({passed.size} bytes)")
    return Copied(name, str(there), passed.size)


def _size(file: IO[bytes]) -> int | None:
    """How long a plain file is from here on; None for what else is read (stdin, a pipe), which goes in chunks."""
    with contextlib.suppress(OSError):
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            return max(status.st_size - file.tell(), 0)
    return None


def _chunks(file: IO[bytes], name: str, size: int | None, passed: transfer.Transfer) -> Iterator[bytes]:
    """The file in pieces: as much as was promised, also when somebody appends to it meanwhile."""
    while passed.size != size:
        chunk = file.read(_CHUNK_BYTES if size is None else min(_CHUNK_BYTES, size - passed.size))
        if not chunk and size is not None:
            raise errors.Conflict(f"{name} became shorter while it was read", hint="copy it again")
        if not chunk:
            return
        yield chunk
        passed.add(len(chunk))


def _get_one(api: client.Client, here: Remote, target: str) -> Iterator[Copied]:
    if not here.key or here.key.endswith("/"):
        raise errors.BadRequest(f"{here} names no object", hint="copy what is below it with -r")
    if target == "-":
        with api.open("GET", _path(here)) as response:
            size = _pour(response, sys.stdout.buffer, str(here))
        yield Copied(str(here), "-", size)
        return
    path = Path(target)
    name = here.key.rpartition("/")[2]
    yield _get(api, here, path / name if path.is_dir() or target.endswith("/") else path)


def _get_all(api: client.Client, here: Remote, folder: Path) -> Iterator[Copied]:
    key = None
    for key in _keys(api, here):
        below = key[len(here.key) :].lstrip("/") if here.key.endswith("/") or not here.key else _below(key, here.key)
        yield _get(api, Remote(here.bucket, key), folder.joinpath(*below.split("/")))
    if key is None and here.key:
        raise errors.NotFound(f"no object's key starts with {here}")


def _below(key: str, prefix: str) -> str:
    """What of a key is below the folder that a prefix names or begins in: ``in/2026`` keeps ``2026-01.jpg``."""
    return key[prefix.rfind("/") + 1 :]


def _keys(api: client.Client, here: Remote) -> Iterator[str]:
    for each in places.objects(api, places.KeyPlace(here.bucket, here.key)):
        yield each["key"]


def _get(api: client.Client, here: Remote, path: Path) -> Copied:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with api.open("GET", _path(here)) as response, written.whole(path, _as_made_here) as file:
            size = _pour(response, file, str(here))
    except OSError as error:
        raise errors.BadRequest(f"{path}: {error.strerror or error}") from error
    output.say(f"{here} -> {path} ({size} bytes)")
    return Copied(str(here), str(path), size)


def _as_made_here(path: Path) -> None:
    # A temporary file is its owner's alone; this one is to be as any other that is made here.
    path.chmod(0o666 & ~_umask())
    # So that a deploy from this folder does not send what came out of a bucket.
    left_out.mark_copied(path)


def _umask() -> int:
    # To ask for it is to set it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


class _Source(Protocol):
    """The part of `http.client.HTTPResponse` that is read. ``length`` is what is still to come, None when unknown."""

    length: int | None

    def read(self, size: int) -> bytes: ...


def _pour(source: _Source, target: IO[bytes], name: str) -> int:
    with transfer.Transfer(name, source.length) as passed:
        while chunk := source.read(_CHUNK_BYTES):
            target.write(chunk)
            passed.add(len(chunk))
    target.flush()
    # A connection that broke leaves a rest; an answer without a length cannot be judged so.
    if source.length:
        raise errors.Unavailable(f"{name}: {source.length} bytes did not come", hint="copy it again")
    return passed.size


def _joined(key: str, name: str) -> str:
    return f"{key}{name}" if not key or key.endswith("/") else key


def _path(remote: Remote) -> str:
    return places.path(places.KeyPlace(remote.bucket, remote.key))
