"""Tars of sources: nothing but plain files, and nothing outside of the folder that they are unpacked into."""

from __future__ import annotations

import io
import random
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from faas import artifacts
from faas.builds import sources
from faas.core import errors
from tests.fuzz import edge, mutate

_LIMITS = artifacts.ArchiveLimits(max_bytes=200_000, max_entries=200)
_NAMES = (
    "app.py", "a/b.py", "a", "a/", "./a", "a/./b", "a//b", "..", "../x", "a/../../x", "/etc/x", "/", "", ".",
    "x" * 300, "x/" * 600 + "y",
    "\u00e9", "a\0b", "\udcff", "__pycache__/a.pyc", "con", "a\\b", "a\nb", "-rf", "~", "out/../../outside/secret",
    "\u202e", "a" * 101,
)  # fmt: skip
_KINDS = (
    b"0",
    b"\0",
    b"1",
    b"2",
    b"3",
    b"4",
    b"5",
    b"6",
    b"7",
    b"x",
    b"g",
    b"L",
    b"K",
    b"S",
    b"X",
    b"V",
    b"M",
    b"D",
    b"N",
    b"Z",
)
_FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
_PAX = ("path", "linkpath", "size", "mtime", "uid", "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.map",
    "GNU.sparse.size",
        "GNU.sparse.realsize", "GNU.sparse.name", "GNU.sparse.offset", "GNU.sparse.numbytes", "hdrcharset",
        "comment")  # fmt: skip
_VALUES = (
    "0",
    "1",
    "-1",
    "99999999999999999999",
    "1e9",
    "",
    "x",
    "../x",
    "1,2",
    "0,512,1024,512",
    "BINARY",
    "1.0",
    "nan",
)
_SIZES = (
    "0",
    "1",
    "-1",
    "7",
    "777777777777",
    "\x80" + "\0" * 10 + "\x05",
    "\x80" + "\xff" * 11,
    "\xff" * 12,
    "9",
    " ",
    "",
)


class ArchiveEdge(edge.Edge):
    """`artifacts.extract`, and what a build does next. It works in a thread or a process of its own."""

    name = "archives"
    most_cpu_s = 2.0
    most_bytes = 40_000
    made_anew = 0.4
    tokens = (b"ustar\x0000", b"ustar  \0", b"0000644\0", b"00000000000\0", bytes(512), b"././@LongLink\0",
    b"11 path=x\n",
              b"30 GNU.sparse.major=1\n", b"\x80" + bytes(11), b"\xff" * 12)  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """A folder to unpack into, with a neighbour that is nobody's."""
        self._home = around.home
        self._outside = around.home / "outside"
        self._outside.mkdir()
        (self._outside / "secret").write_bytes(b"outside")
        (around.home / "store").mkdir()
        self._store = artifacts.Artifacts(around.home / "store")

    def seeds(self) -> Iterable[bytes]:
        """One of each form, with all kinds of members that are allowed."""
        for form in _FORMATS:
            made = io.BytesIO()
            with tarfile.open(fileobj=made, mode="w", format=form) as tar:
                for name, content in (("app.py", b"x = 1\n"), ("a/b.py", b"y" * 600), ("d" * 90 + "/" + "e" * 80, b"")):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                link = tarfile.TarInfo("second")
                link.type, link.linkname = tarfile.LNKTYPE, "app.py"
                tar.addfile(link)
            yield made.getvalue()

    def make(self, chance: random.Random) -> bytes:
        """Members of any kind, name and size, whose checksums are right."""
        made = io.BytesIO()
        for _ in range(chance.randint(1, 5)):
            made.write(_member(chance))
        made.write(bytes(chance.choice((0, 512, 1024, 10_240))))
        changed = made.getvalue()
        if chance.random() < 0.4:
            changed = with_checksums(mutate.Mutator(chance, self.tokens, self.most_bytes).mutated(changed, ()))
        return changed

    async def attempt(self, given: bytes) -> str:
        """Unpack it, and do with the folder what a build does."""
        folder = self._home / "out"
        folder.mkdir()
        try:
            try:
                written = artifacts.extract(io.BytesIO(given), folder, _LIMITS)
            except (artifacts.BadTar, errors.TooLarge) as refused:
                self._check(folder, _LIMITS.max_bytes)
                return edge.said(refused.message)
            self._check(folder, written)
            if zlib.crc32(given) % 8 == 0:
                sources._digest(folder)
                digest, _ = self._store.pack(folder)
                self._store.unpack(digest)
                self._store.remove(digest)
            return f"taken {min(written, 3)} {len(list(folder.iterdir()))}"
        finally:
            shutil.rmtree(folder)

    def _check(self, folder: Path, at_most: int) -> None:
        edge.check(
            sorted(each.name for each in self._home.iterdir()) == ["out", "outside", "store"],
            "written beside the folder",
        )
        edge.check([each.name for each in self._outside.iterdir()] == ["secret"], "written outside")
        edge.check((self._outside / "secret").read_bytes() == b"outside", "changed outside")
        size = 0
        for found in _below(folder):
            if stat.S_ISDIR(found.st_mode):
                continue
            edge.check(stat.S_ISREG(found.st_mode), "unpacked what is no plain file")
            edge.check(found.st_nlink == 1, "unpacked a hard link")
            edge.check(not found.st_mode & 0o7022, "unpacked with a mode that is too wide")
            size += found.st_size
        edge.check(size <= at_most, f"unpacked more than it says: {size}")


def with_checksums(given: bytes) -> bytes:
    """The same with the right checksum in each block that could be a header."""
    made = bytearray(given)
    for at in range(0, len(made) - 511, 512):
        if made[at + 257 : at + 262] == b"ustar":
            made[at + 148 : at + 156] = b" " * 8
            made[at + 148 : at + 156] = f"{sum(made[at : at + 512]):06o}\0 ".encode()
    return bytes(made)


def _member(chance: random.Random) -> bytes:
    name = chance.choice(_NAMES).encode("utf-8", "surrogateescape")
    content = chance.randbytes(chance.choice((0, 0, 1, 511, 512, 513, 3_000)))
    kind = chance.choice((b"0", b"0", b"0", *_KINDS))
    if kind in (b"x", b"g"):
        content = b"".join(_record(chance) for _ in range(chance.randint(1, 4)))
    size = f"{len(content):011o}\0" if chance.random() < 0.8 else chance.choice(_SIZES)
    header = bytearray(512)
    for at, value in (
        (0, name[:100]), (100, chance.choice((b"0000644\0", b"0007777\0", b"zzz", b"\xff" * 8))), (108,
        b"0000000\0" * 2),
        (124, size.encode("latin-1")[:12]), (136, chance.choice((b"00000000000\0", b"\xff" * 12))), (156, kind),
        (157, chance.choice(_NAMES).encode("utf-8", "surrogateescape")[:100]), (257, chance.choice((b"ustar\x0000",
        b"ustar  \0"))),
        (345, chance.choice((b"", b"", b"..", b"x" * 155))),
    ):  # fmt: skip
        header[at : at + len(value)] = value
    return with_checksums(bytes(header)) + content + bytes(-len(content) % 512)


def _record(chance: random.Random) -> bytes:
    pair = f" {chance.choice(_PAX)}={chance.choice((*_VALUES, *_NAMES))}\n".encode("utf-8", "surrogateescape")
    size = len(pair) + len(str(len(pair)))
    return str(chance.choice((size, size, size, 0, size + 5, 10**12))).encode() + pair


def _below(folder: Path) -> Iterator[object]:
    for path in folder.rglob("*"):
        yield path.lstat()
