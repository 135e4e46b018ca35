"""``context.bucket(name)``: objects of a bucket as files.

The sandbox sees no bucket. It asks the runner, which checks the declaration and passes a descriptor over the socket: of
the object for reading, of an unnamed file for writing, which becomes the object when it is closed. Readers therefore
see whole objects or none. A runner on another machine passes none; there the bytes travel in pieces (`streamed`).
"""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from . import output, streamed
from .connection import Connection, Header, Reply

_PAGE = 1_000
_ERRORS = {"NotFound": FileNotFoundError, "Denied": PermissionError, "BadKey": ValueError}


class Object(NamedTuple):
    """One object of a bucket: its key, size in bytes, and when it was last written, in Unix milliseconds."""

    key: str
    size: int
    modified_ms: int


class Store:
    """The buckets of one attempt; its requests are refused when the attempt is over."""

    def __init__(self, connection: Connection, declared: frozenset[str], attempt: int) -> None:
        self._connection = connection
        self._declared = declared
        self._attempt = attempt

    def bucket(self, name: str) -> Bucket:
        """A declared bucket. Raises `PermissionError` for any other."""
        if name not in self._declared:
            raise PermissionError(
                f"the bucket {name!r} is not declared; write `buckets: {{{name}: read}}` (or write) in faas.yaml"
            )
        return Bucket(self, name)

    def request(self, what: str, header: Header, body: bytes = b"") -> Reply:
        """Ask the runner. Raises the built-in error that says best what it refused, with ``what`` in its message."""
        reply = self._connection.request(self._attempt, header, body)
        refusal = reply.header.get("error")
        if refusal:
            text = f"{what}: {reply.header.get('message') or refusal}"
            if refusal == "TooLarge":
                raise OSError(errno.EFBIG, text)
            raise _ERRORS.get(refusal, OSError)(text)
        return reply

    def forget(self, number: int) -> None:
        """Discard what was opened for writing under this number."""
        self._connection.notify(self._attempt, {"t": "discard", "n": number})

    def release(self, number: int) -> None:
        """Let go of what was opened for reading under this number, with the next request. Sends nothing."""
        self._connection.released.append((self._attempt, number))


class Bucket:
    """A bucket that this function declares.

    Errors are built-in ones: `FileNotFoundError` (no such object), `PermissionError` (not declared, or for reading
    only), `ValueError` (a key that no object can have), `OSError` for the rest.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.name = name
        self._store = store

    def __repr__(self) -> str:
        return f"<Bucket {self.name}>"

    def open(self, key: str, mode: str = "rb", *, encoding: str | None = None, newline: str | None = None) -> IO[Any]:
        """Open an object as a file: ``rb`` (the default), ``r``, ``wb`` or ``w``; text is UTF-8 unless said otherwise.

        What is written becomes the object when the file is closed, in one piece. It is discarded when an exception
        leaves the file's ``with``, when `discard()` is called, and when the file is not closed before the handler ends.
        """
        direction, text = _parse_mode(mode)
        header = {"t": "open", "bucket": self.name, "key": str(key), "mode": direction}
        what = f"{self.name}/{key}"
        reply = self._store.request(what, header)
        if reply.descriptor is None and "size" not in reply.header:  # the process has as many open as it may
            raise OSError(f"{what}: no file came with the answer")
        if direction == "w":
            writer = ObjectWriter(_raw_writer(self._store, what, reply), self._store, what, reply.header["n"])
            return TextObjectWriter(writer, encoding=_encoding(text, encoding), newline=newline) if text else writer
        if reply.descriptor is not None:
            return open(reply.descriptor, "r" if text else "rb", encoding=_encoding(text, encoding), newline=newline)
        reading = streamed.Reading(self._store, what, reply.header["n"], reply.header["size"])
        buffered = io.BufferedReader(reading, streamed.PIECE_BYTES)
        return io.TextIOWrapper(buffered, encoding=_encoding(text, encoding), newline=newline) if text else buffered

    def read_bytes(self, key: str) -> bytes:
        """The whole object."""
        with self.open(key) as file:
            data: bytes = file.read()
            return data

    def read_text(self, key: str, encoding: str = "utf-8") -> str:
        """The whole object, decoded."""
        return self.read_bytes(key).decode(encoding)

    def write_bytes(self, key: str, data: Any) -> int:
        """Write an object in one piece; the number of its bytes."""
        with self.open(key, "wb") as file:
            return int(file.write(data))

    def write_text(self, key: str, text: str, encoding: str = "utf-8") -> int:
        """Write an object in one piece, encoded; the number of its bytes."""
        return self.write_bytes(key, text.encode(encoding))

    def list(self, prefix: str = "", after: str = "") -> Iterator[Object]:
        """The objects whose key starts with ``prefix`` and sorts after ``after``, sorted by key."""
        while True:
            page = self._page(prefix, after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].key

    def exists(self, key: str) -> bool:
        """Whether there is an object with exactly this key."""
        # The key itself is the first of those that begin with it.
        return any(found.key == key for found in self._page(key, "", 1))

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._store.request(f"{self.name}/{key}", {"t": "delete", "bucket": self.name, "key": str(key)})

    def _page(self, prefix: str, after: str, limit: int) -> Sequence[Object]:
        header = {"t": "list", "bucket": self.name, "prefix": prefix, "after": after, "limit": limit}
        rows = json.loads(self._store.request(self.name, header).body)
        return [Object(row["key"], row["size"], row["modified_ms"]) for row in rows]


class ObjectWriter(io.BufferedWriter):
    """An object being written. `close` publishes it."""

    def __init__(self, raw: io.RawIOBase, store: Store, what: str, number: int) -> None:
        is_file = isinstance(raw, io.FileIO)
        super().__init__(raw, io.DEFAULT_BUFFER_SIZE if is_file else streamed.PIECE_BYTES)
        self._store = store
        self._number = number
        self._what = what

    def close(self) -> None:
        """Publish the object. When that fails nothing is published, and the error is raised."""
        if self.closed:
            return
        try:
            self.flush()
        except BaseException:
            self.discard()
            raise
        # What nobody can write to any more is published as it is; else it has to be copied.
        self.raw.close()
        self._store.request(self._what, {"t": "commit", "n": self._number})

    def discard(self) -> None:
        """Close the file without publishing anything."""
        if not self.closed:
            self.raw.close()
            self._store.forget(self._number)

    def __exit__(self, kind: object, *_: object) -> None:
        self.discard() if kind else self.close()

    def __del__(self) -> None:
        # The collector may run anywhere, also inside the connection: nothing is sent. The runner forgets at the end.
        if not self.closed:
            self.raw.close()
            output.say(f"[WARNING] {self._what} was not closed, so it was not written\n")


class TextObjectWriter(io.TextIOWrapper):
    """The same for text."""

    def discard(self) -> None:
        """Close the file without publishing anything."""
        _writer(self).discard()

    def __exit__(self, kind: object, *_: object) -> None:
        self.discard() if kind else self.close()

    def __del__(self) -> None:
        """Nothing: an unclosed file is not to be published; `ObjectWriter` says so."""


def _raw_writer(store: Store, what: str, reply: Reply) -> io.RawIOBase:
    if reply.descriptor is None:
        return streamed.Writing(store, what, reply.header["n"])
    return io.FileIO(reply.descriptor, "wb")


def _writer(text: TextObjectWriter) -> ObjectWriter:
    writer: Any = text.buffer
    return writer  # type: ignore[no-any-return]


def _encoding(text: bool, encoding: str | None) -> str | None:
    return (encoding or "utf-8") if text else None


def _parse_mode(mode: str) -> tuple[str, bool]:
    direction = mode.replace("b", "").replace("t", "")
    if direction not in ("r", "w") or ("b" in mode and "t" in mode):
        raise ValueError(f"mode {mode!r}: expected rb, r, wb or w (an object is written whole, never appended to)")
    return direction, "b" not in mode
