"""What a source asks for: its requirements files, and the wheels that lie in it."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Iterable

from faas.core import errors
from faas.runtimes import bounds
from faas.runtimes.python import requirements, wheels
from tests.fuzz import edge

_GOOD = b"""\
# what it needs
requests>=2.31,<3 ; python_version >= "3.8"  # pinned
-r more.txt
--requirement=sub/more.txt
-c constraints.txt
numpy==1.26.4 \\
    --hash=sha256:aaaa
--index-url https://example.com/simple
--extra-index-url=https://example.com/more
-f ./wheels
--only-binary :all:
./wheels/a-1-py3-none-any.whl ; sys_platform == "linux"
b @ https://example.com/b-1-py3-none-any.whl#sha256=00
c[extra] @ ./wheels/a-1-py3-none-any.whl
"""
_METADATA = "a-1.dist-info/METADATA"


class RequirementsEdge(edge.Edge):
    """The text of a requirements file. What uv is given of it is known to be harmless."""

    name = "requirements"
    most_cpu_s = 0.2
    tokens = (
        b"-r ", b"-c", b"--requirement=", b"-e ", b"--no-binary", b"--config-settings", b"--hash=", b"-f ",
        b"--find-links ",
        b"file:/x.whl", b"file:///etc/x.whl", b"git+https://x/y.git", b"./", b"../", b".whl", b"~/", b"\\\n", b" #",
        b" ; ", b" @ ",
        b"[", b"]", b"${HOME}", b"%2e%2e", b"C:", b"\\\\host\\x.whl", b"http://", b"https://u:p@h/", b"\x85", b"\x1c",
        b"\xe2\x80\xa8",
        b"more.txt", b"loop.txt", b"x" * 300 + b".whl", b"/dev/zero", b"pipe",
    )  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """A source with files to include, and with what is no file."""
        self._source = source = around.home / "source"
        (source / "wheels").mkdir(parents=True)
        (source / "sub").mkdir()
        (around.home / "outside.txt").write_text("outside\n")
        for name in ("more.txt", "sub/more.txt", "constraints.txt"):
            (source / name).write_text("six\n")
        (source / "wheels" / "a-1-py3-none-any.whl").write_bytes(wheel())
        (source / "loop.txt").symlink_to("loop.txt")
        (source / "link.txt").symlink_to("../outside.txt")

    def seeds(self) -> Iterable[bytes]:
        """A file with all that is taken."""
        yield _GOOD
        yield b"six\n"

    async def attempt(self, given: bytes) -> str:
        """Read it."""
        (self._source / "requirements.txt").write_bytes(given)
        try:
            found = requirements.read(self._source, "requirements.txt")
            wheels.check(self._source, found.wheels, bounds.Bound(max_bytes=100_000, max_files=100))
        except (errors.BuildFailed, errors.TooLarge) as refused:
            edge.check(len(refused.message) < 70_000, "a refusal without end")
            return edge.said(refused.message)
        for line in (*found.lines, *found.constraints):
            edge.check(not line.text.startswith("-"), f"an option as a requirement: {line.text!a}")
            edge.check("\n" not in line.text and "\r" not in line.text, f"two lines in one: {line.text!a}")
            edge.check(line.text != "outside", "read a file outside of the source")
        for each in found.wheels:
            edge.check((self._source / each).resolve().is_relative_to(self._source), "a wheel outside of the source")
        edge.check(all(_is_known(each) for each in found.options), f"an option that is not known: {found.options!a}")
        return f"taken {len(found.lines)} {len(found.constraints)} {len(found.options)} {len(found.wheels)}"


class WheelEdge(edge.Edge):
    """The bytes of a wheel in a source, which are looked into before anything is unpacked."""

    name = "wheels"
    most_cpu_s = 1.0
    most_bytes = 10_000
    tokens = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"\xff" * 4, b"\xff" * 8,
    _METADATA.encode(),
              b"Requires-Dist: b @ file:///etc/x.whl\n", b"\x08\0", b"\x63\0", b"\x0e\0", b"\x01\0")  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """A source for the wheel to lie in."""
        self._source = around.home
        self._bound = bounds.Bound(max_bytes=100_000, max_files=100)

    def seeds(self) -> Iterable[bytes]:
        """Wheels of each way to pack them."""
        for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            yield wheel("Requires-Dist: six>=1\nRequires-Dist: b @ https://e.com/b.whl\n", kind)

    def make(self, chance: random.Random) -> bytes:
        """A wheel that asks for something else."""
        wanted = chance.choice(
            ("b @ ../b.whl", "b@file:/b.whl", "b @ https://e.com/b.tar.gz", "=?utf-8?q?b_=40_file:/x?=", "\u2028b @ x")
        )
        folded = chance.choice(("", "\n ", "\r\n\t", "\x00"))
        return wheel(f"Requires-Dist: {folded}{wanted}\n", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))

    async def attempt(self, given: bytes) -> str:
        """Look into it."""
        (self._source / "x.whl").write_bytes(given)
        try:
            wheels.check(self._source, ["x.whl"], self._bound)
        except (errors.BuildFailed, errors.TooLarge) as refused:
            return edge.said(refused.message)
        return "taken"


def wheel(asks: str = "", kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A wheel that asks for these."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as archive:
        archive.writestr(zipfile.ZipInfo("a.py"), b"x = 1\n", kind)
        archive.writestr(zipfile.ZipInfo(_METADATA), f"Metadata-Version: 2.1\nName: a\nVersion: 1\n{asks}", kind)
    return made.getvalue()


def _is_known(option: str) -> bool:
    known = {"--prerelease=allow", "--no-index", "--require-hashes", "--index-url", "--extra-index-url", "--find-links"}
    return option in known or option.startswith(("https://", "http://", "./", "."))
