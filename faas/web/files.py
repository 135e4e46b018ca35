"""The files of the page, read once: what is not in this table is not served, whatever a path looks like.

The page is one HTML file, `SHELL`, whose links to ``/static/…`` are written anew to ``/static/DIGEST/…``. The digest is
of all files together, and modules name one another by relative paths, so whatever the page loads is of one version and
may be kept by browsers for good.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

HOME = Path(__file__).parent / "static"
SHELL = "index.html"
PREFIX = "/static/"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
"""Named here, as what the machine's own table of types says is not the same everywhere."""
_PLAIN = "text/plain; charset=utf-8"
_WORTH_PACKING = 0.9
"""What packs worse than to this share of its size is sent as it is: pictures, and files of a few bytes."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it is sent; ``packed`` is the same in gzip, where that is worth it."""

    media: str
    body: bytes
    packed: bytes | None
    etag: str


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """All files by their paths below `PREFIX`, the page itself, and the digest under which they are served for good."""

    of_path: Mapping[str, File]
    shell: File | None
    digest: str

    def find(self, path: str) -> tuple[File | None, bool]:
        """The file at a path below `PREFIX`, and whether its address will never mean anything else."""
        digest, _, rest = path.partition("/")
        if digest == self.digest:
            return self.of_path.get(rest), True
        return self.of_path.get(path), False


def load(home: Path | None = None) -> Files:
    """Read all files below a folder. Without one there is no page, which who asks for it is told."""
    bodies = dict(_bodies(home or HOME))
    digest = _digest(bodies)
    shell = bodies.pop(SHELL, None)
    return Files(
        of_path={path: _file(path, body) for path, body in bodies.items()},
        shell=None if shell is None else _file(SHELL, _pointed(shell, digest)),
        digest=digest,
    )


def _bodies(home: Path) -> Iterator[tuple[str, bytes]]:
    """Hidden files are an editor's, and links may lead out of the folder."""
    for path in sorted(home.rglob("*")) if home.is_dir() else ():
        parts = path.relative_to(home).parts
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in parts):
            yield "/".join(parts), path.read_bytes()


def _digest(bodies: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for path, body in bodies.items():
        # With the lengths: without them the same bytes could be cut into files in another way.
        whole.update(f"{path}\0{len(body)}\0".encode() + body)
    return whole.hexdigest()[:16]


def _pointed(shell: bytes, digest: str) -> bytes:
    # By the address alone a browser knows a new version: it need not ask again for any file that it has.
    return shell.replace(b'"' + PREFIX.encode(), f'"{PREFIX}{digest}/'.encode())


def _file(path: str, body: bytes) -> File:
    # Packed once, at the start; without a time in it, so that every process has the same bytes.
    packed = gzip.compress(body, mtime=0)
    return File(
        media=_media(path),
        body=body,
        packed=packed if len(packed) < len(body) * _WORTH_PACKING else None,
        etag=hashlib.sha256(body).hexdigest()[:32],
    )


def _media(path: str) -> str:
    suffix = Path(path).suffix.lower()
    kind, _ = mimetypes.guess_type(f"x{suffix}")
    return _TYPES.get(suffix) or (kind if kind is not None and kind.startswith(("image/", "font/")) else _PLAIN)
