"""Wheels as anybody may make them, and an index that has them."""

from __future__ import annotations

import contextlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping


def wheel(files: Mapping[str, bytes | str], name: str = "mine", *, requires: str = "", record: bytes = b"") -> bytes:
    """A wheel of version 1 for any Python. A name that ends in a slash is a folder."""
    held = io.BytesIO()
    info = f"{name}-1.dist-info"
    told = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n" + (f"Requires-Dist: {requires}\n" if requires else "")
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        for path, content in files.items():
            out.writestr(path, content)
        out.writestr(f"{info}/METADATA", told)
        out.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        out.writestr(f"{info}/RECORD", record)
    return held.getvalue()


@contextlib.contextmanager
def index(wheels: Mapping[str, bytes], *, endless: bool = False) -> Iterator[str]:
    """The URL of a package index on this machine; its wheels lie under ``/files/``. ``endless`` pages never end."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if parts[0] == "files" and parts[1] in wheels:
                self._give("application/octet-stream", wheels[parts[1]])
            elif parts[0] == "simple" and endless:
                self._drip()
            elif parts[0] == "simple":
                names = [file for file in wheels if file.startswith(f"{parts[1]}-")]
                links = "".join(f'<a href="/files/{file}">{file}</a>' for file in names)
                self._give("text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode())
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def _give(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

        def _drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(b"<!DOCTYPE html><html><body>")
                while True:
                    self.wfile.write(b'<a href="x">x</a>' * 10_000)

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
