"""Code that comes over the connection: a tar in pieces, unpacked as it comes, so that it takes its room once."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import tarfile
from typing import Any

_PREFIX = struct.Struct(">II")
_READ_BYTES = 1 << 16


class _Pieces:
    """The bytes of a bundle, from the frames `code`. A piece without bytes is the last one."""

    def __init__(self, sock: socket.socket, size: int, rest: bytes) -> None:
        self._socket = sock
        self._left = size
        self._rest = rest
        self._is_whole = size == 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end. Raises `ConnectionError`."""
        if not self._left and not self._is_whole:
            self._left = self._next_piece()
            self._is_whole = not self._left
        data = self._got(min(size, self._left))
        self._left -= len(data)
        return data

    def pass_over(self) -> None:
        """Take what is still to come."""
        while self.read(_READ_BYTES):
            pass

    def _next_piece(self) -> int:
        header_bytes, body_bytes = _PREFIX.unpack(self._exactly(_PREFIX.size))
        if json.loads(self._exactly(header_bytes)).get("t") != "code":
            raise ConnectionError("code was expected")
        return int(body_bytes)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._got(size - len(data))
        return data

    def _got(self, size: int) -> bytes:
        if not size:
            return b""
        data = self._rest[:size] or self._socket.recv(min(size, _READ_BYTES))
        self._rest = self._rest[size:]
        if not data:
            raise ConnectionError("the runner has gone")
        return data


def taken(sock: socket.socket, told: dict[str, Any], size: int, rest: bytes) -> dict[str, Any]:
    """Unpack the bundle whose first piece has ``size`` bytes; the header of the answer. Raises `ConnectionError`.

    ``rest`` is what was already read of it.
    """
    pieces = _Pieces(sock, size, rest)
    folder = str(told["folder"])
    try:
        _unpack(pieces, folder)
    except ConnectionError:
        raise
    except (OSError, tarfile.TarError) as error:
        pieces.pass_over()
        return {"t": "placed", "error": f"the code could not be unpacked in the sandbox: {error}"}
    pieces.pass_over()
    return {"t": "placed"}


def _unpack(pieces: _Pieces, folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    stream: Any = pieces
    with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8") as tar:
        for entry in tar:
            path = os.path.join(folder, entry.name)
            if entry.isdir():
                os.makedirs(path, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(path), exist_ok=True)
            content: Any = tar.extractfile(entry)
            with open(path, "xb") as file:
                shutil.copyfileobj(content, file, _READ_BYTES)
            os.chmod(path, 0o555 if entry.mode & 0o100 else 0o444)
