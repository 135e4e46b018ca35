"""Buckets that are folders: names that anybody dropped there, marks on files, and keys that anybody asks for."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from faas import buckets
from faas.buckets.folder import bucket as folders
from faas.buckets.folder import stamps
from faas.core import errors, model
from tests.fuzz import edge
from triggers import backlog, comparison, complete, matching, uploads

_ATTRIBUTES = (stamps.DEPTH_ATTRIBUTE, stamps.LINEAGE_ATTRIBUTE, stamps.PUBLISHED_ATTRIBUTE)
_TRIGGERS = (
    model.UploadTrigger(bucket="own"),
    model.UploadTrigger(bucket="own", prefix="in/", suffix=(".jpg", "\u00e9")),
)
_IDS = b"0190b5a0-0000-7000-8000-000000000001 0190b5a0-0000-7000-8000-000000000002"
_STAY = (b"folder", b"link", b"pipe")
_NAMES = (
    b"a", b"in/a.jpg", b"in/\xc3\xa9", b"in/e\xcc\x81", b"\xff", b"in/\xff.jpg", b"a b", b"a\nb", b"a\x1b[2J",
    b"\xe2\x80\xae", b".hidden", b"in/.x",
    b"a~", b"a.part", b"x" * 255, b"x" * 256, b"d/" * 12 + b"x", b"a+b%20c", b"a%2fb", b"-", b"'", b'"', b"\\", b"*",
    b"\x01", b"\x7f",
    b"\xed\xa0\x80", b"a\x1fb", b"in/a\x1f.jpg", b"\xe2\x80\xa8",
)  # fmt: skip


class ObjectEdge(edge.Edge):
    """An input is texts with NULs between: a file's name, its three marks, a key, a prefix, a key to go on after."""

    name = "objects"
    most_bytes = 4_000
    most_cpu_s = 0.5
    made_anew = 0.5
    tokens = (
        *_NAMES,
        _IDS,
        b"\0",
        b"0",
        b"16",
        b"9" * 30,
        b"-1",
        b"../outside/secret",
        b"/etc/passwd",
        b"link/secret",
        b"folder",
        b"..",
    )

    async def open(self, around: edge.Around) -> None:
        """A bucket with all that is no object in it, and a neighbour that is nobody's."""
        self._home = around.home
        self._outside = around.home / "outside"
        self._outside.mkdir()
        (self._outside / "secret").write_bytes(b"outside")
        self._root = around.home / "bucket"
        self._make()
        self._bucket = folders.BucketFolder("own", self._root)
        config = model.FunctionConfig(runtime="python3", handler="app.handler", triggers=_TRIGGERS)
        revision = model.Revision(function="hello", number=1, artifact="0" * 64, config=config, created_at_ms=0)
        self._rules = tuple(matching.Rule(revision, place, trigger) for place, trigger in enumerate(_TRIGGERS))
        self._feed = self._bucket.watch(lambda: None)
        self._cursor = ""

    async def close(self) -> None:
        """Listen no more."""
        self._feed.close()

    def seeds(self) -> Iterable[bytes]:
        """Good names and marks, and some that are not."""
        for name in _NAMES:
            yield b"\0".join((name, b"3", _IDS, b"1-2-3", b"in/x", b"in/", b""))

    def make(self, chance: random.Random) -> bytes:
        """Any of these, each with any other."""
        key = chance.choice((b"in/x", b"link/secret", b"folder", b"pipe", b"../outside/secret", *_NAMES))
        return b"\0".join((
            chance.choice(_NAMES), chance.choice((b"", b"0", b"16", b"9" * 40, b"-1", b"\xff", b" 1", b"x" * 3_000)),
            chance.choice((b"", _IDS, _IDS + b"\n", b"\xff" * 73)), chance.choice((b"", b"1-2-3", b"\xff")), key,
            chance.choice((b"", b"in/", b"\xff", *_NAMES)), chance.choice((b"", b"\xff", *_NAMES)),
        ))  # fmt: skip

    async def attempt(self, given: bytes) -> str:
        """Drop the file, let the trigger look at it, and ask for the key."""
        name, depth, ids, published, key, prefix, after = (given.split(b"\0") + [b""] * 7)[:7]
        ways = []
        with self._dropped(name, (depth, ids, published)) as is_there:
            ways.append(str(is_there))
            ways.append(self._triggered())
            ways.append(self._asked(os.fsdecode(key)))
            ways.append(self._listed(os.fsdecode(prefix), os.fsdecode(after)))
        return " ".join(ways)

    async def look(self) -> None:
        """What was outside is as it was; the feed tells of what has changed and of nothing else."""
        edge.check([each.name for each in self._outside.iterdir()] == ["secret"], "written outside")
        edge.check((self._outside / "secret").read_bytes() == b"outside", "changed outside")
        edge.check(
            sorted(each.name for each in self._home.iterdir()) == ["bucket", "outside"], "written beside the bucket"
        )
        changes = self._feed.since(self._cursor)
        self._cursor = changes.cursor
        self._bucket.sweep()
        # A sign may be of what is no object: whoever looks at it finds that out.
        for seen in complete.see_all(self._bucket, [backlog.Look(*sign) for sign in changes.signs.items()]):
            for rule in matching.matching(self._rules, seen.look.key):
                rule.guard_field(seen.look.key)

    def _make(self) -> None:
        (self._root / "folder").mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            (self._root / "link").symlink_to(self._outside)
            os.mkfifo(self._root / "pipe")

    def _clear(self) -> None:
        """Remove what came, and make anew what went: an empty folder gives way to an object."""
        with os.scandir(os.fsencode(self._root)) as entries:
            came = [(each.path, each.is_dir(follow_symlinks=False)) for each in entries if each.name not in _STAY]
        for path, is_folder in came:
            shutil.rmtree(path) if is_folder else os.unlink(path)
        if not (self._root / "folder").is_dir():
            (self._root / "folder").unlink(missing_ok=True)
        self._make()

    @contextlib.contextmanager
    def _dropped(self, name: bytes, marks: tuple[bytes, ...]) -> Iterable[bool]:
        """A file of that name with those marks, where the system allows both; at the end all is as it was."""
        is_there = _drop(self._root, name, marks)
        try:
            yield is_there
        finally:
            self._clear()

    def _triggered(self) -> str:
        page = comparison.compare(self._bucket, self._rules, {}, buckets.EVERYTHING, "")
        looks = [backlog.Look(key, buckets.Sign.FOUND) for key in page.changed]
        for seen in complete.see_all(self._bucket, looks):
            if seen.object is None:
                continue
            for rule in matching.matching(self._rules, seen.look.key):
                made = uploads.invocation_of(rule, "own", seen, "local")
                msgspec.json.decode(made.event)
                msgspec.msgpack.encode(made)
        comparison.gone(self._bucket, page.known)
        return str(len(page.changed))

    def _asked(self, key: str) -> str:
        heard = []
        for ask in (self._read, self._bucket.stat, self._write, self._bucket.delete):
            try:
                found = ask(key)
            except (errors.BadRequest, errors.NotFound, errors.Conflict) as refused:
                msgspec.json.encode(refused.body())
                heard.append(refused.code[:3])
            else:
                edge.check(found != b"outside", "read outside")
                heard.append("ok")
        return "".join(heard)

    def _read(self, key: str) -> bytes:
        with contextlib.closing(self._bucket.open(key)) as reading:
            return reading.read(0, 100)

    def _write(self, key: str) -> None:
        if zlib.crc32(key.encode(errors="replace")) % 4:  # each waits for the disk
            return
        buckets.put(self._bucket, key, b"new", buckets.Writer(1, "a", "b"))

    def _listed(self, prefix: str, after: str) -> str:
        found = self._bucket.list(prefix, after, 3)
        keys = [each.key for each in found]
        edge.check(keys == sorted(keys), f"not in order: {keys!a}")
        edge.check(all(key.startswith(prefix) and key > after for key in keys), f"not what was asked for: {keys!a}")
        msgspec.json.encode(found)
        return str(len(found))


def _drop(root: Path, name: bytes, marks: tuple[bytes, ...]) -> bool:
    parts = [part for part in name.split(b"/") if part not in (b"", b".", b"..")]
    if parts and parts[0] == b"link":
        return False  # this would be the one to write outside, not the bucket
    path = b"/".join([os.fsencode(root), *parts])
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as file:
            for attribute, value in zip(_ATTRIBUTES, marks, strict=True):
                if value:
                    os.setxattr(file.fileno(), attribute, value)
    except (OSError, RecursionError):
        return False
    return True
