"""`faas cp` as a person runs it, against the real control API."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from faas.cli import client, cp, endpoint, places, platform_dir
from faas.core import settings as settings_module
from tests import control_api
from tests.eventually import eventually

FAAS = [sys.executable, "-m", "faas.cli.main"]


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: bytes
    err: str


class Platform:
    """A running control API, and the command line that talks to it."""

    def __init__(self, settings: settings_module.Settings, folder: Path, here: Path, url: str) -> None:
        self.url = url
        self.root = settings.data.root
        self.folder = folder
        self.here = here

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.root), "FAAS_DATA_DIR": str(self.root), "TERM": "xterm"}

    async def cp(self, *arguments: str, given: bytes | None = None) -> Ran:
        """Run ``faas cp`` in the test's own folder."""
        process = await asyncio.create_subprocess_exec(
            *FAAS,
            "cp",
            *arguments,
            cwd=self.here,
            env=self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(given)
        return Ran(process.returncode or 0, out, err.decode())

    def put(self, key: str, content: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
async def platform(settings: settings_module.Settings, tmp_path: Path) -> AsyncIterator[Platform]:
    folder = control_api.make_bucket(settings)
    folder.mkdir(parents=True)
    async with control_api.serving(settings) as url:
        said = {"api": url, "gateway": url, "token_file": str(settings.data.root / "token")}
        (settings.data.root / platform_dir.PLATFORM_FILE).write_text(json.dumps(said))
        here = tmp_path / "here"
        here.mkdir()
        yield Platform(settings, folder, here, url)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_file_goes_into_a_bucket_and_comes_out_again(platform: Platform) -> None:
    (platform.here / "cät 100%.jpg").write_bytes(b"bytes")
    ran = await platform.cp("cät 100%.jpg", "photos:in/")
    assert (ran.code, ran.out) == (0, b"")
    assert ran.err == "cät 100%.jpg -> photos:in/cät 100%.jpg (5 bytes)\n"
    assert _files(platform.folder) == {"in/cät 100%.jpg": b"bytes"}
    assert (await platform.cp("photos:in/cät 100%.jpg", "back.jpg")).code == 0
    assert (await platform.cp("photos:in/cät 100%.jpg", "new/")).code == 0
    assert _files(platform.here) == dict.fromkeys(["cät 100%.jpg", "back.jpg", "new/cät 100%.jpg"], b"bytes")


async def test_stdin_becomes_an_object_and_an_object_goes_to_stdout(platform: Platform) -> None:
    content = os.urandom(3_000_000)
    assert (await platform.cp("-", "photos:k", given=content)).code == 0
    assert _files(platform.folder) == {"k": content}
    assert await platform.cp("photos:k", "-") == Ran(0, content, "")
    assert (await platform.cp("-", "photos:", given=b"")).code == 2
    assert (await platform.cp("photos:k", "-", "--json")).code == 2


async def test_a_folder_goes_in_and_out_with_all_that_is_below_it(platform: Platform) -> None:
    album = platform.here / "album"
    (album / "deep" / "er").mkdir(parents=True)
    (album / "a").write_bytes(b"1")
    (album / "deep" / "er" / "b c").write_bytes(b"")
    (album / ".hidden").write_bytes(b"3")
    ran = await platform.cp("-r", "album", "photos:in", "--json")
    assert [(each["target"], each["bytes"]) for each in json.loads(ran.out)] == [
        ("photos:in/a", 1),
        ("photos:in/deep/er/b c", 0),
    ]
    assert "album/.hidden is left out" in ran.err
    assert _files(platform.folder) == {"in/a": b"1", "in/deep/er/b c": b""}
    assert (await platform.cp("-r", "photos:in/", "out")).code == 0
    assert _files(platform.here / "out") == {"a": b"1", "deep/er/b c": b""}
    assert (await platform.cp("-r", "photos:in/deep", "part")).code == 0
    assert _files(platform.here / "part") == {"deep/er/b c": b""}


async def test_more_objects_than_a_page_holds_all_come(platform: Platform) -> None:
    for number in range(1_001):
        platform.put(f"many/{number:04}", b"x")
    assert (await platform.cp("-r", "photos:many/", "many")).code == 0
    assert len(_files(platform.here / "many")) == 1_001


async def test_keys_are_asked_for_by_the_page_until_there_are_no_more(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_PAGE", 5)
    names = [f"many/{number:02}" for number in range(15)]
    for name in [*names, "more"]:
        platform.put(name, b"x")
    api = client.Client(endpoint.Endpoint(api=platform.url, gateway=platform.url, token=control_api.TOKEN))
    assert await asyncio.to_thread(lambda: list(cp._keys(api, cp.Remote("photos", "many/")))) == names
    assert await asyncio.to_thread(lambda: list(cp._keys(api, cp.Remote("photos", "")))) == [*names, "more"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["none", "photos:"], 2, "none: No such file or directory"),
        (["folder", "photos:"], 2, "folder is a folder"),
        (["-r", "file", "photos:"], 2, "file is no folder"),
        (["file", "other:"], 4, "no bucket 'other'"),
        (["file", "photos:../up"], 2, "a name in it starts with a dot"),
        (["photos:none", "x"], 4, "no such object"),
        (["-r", "photos:none", "x"], 4, "no object's key starts with photos:none"),
        (["photos:", "x"], 2, "names no object"),
        (["file", "x"], 2, "one side must be in a bucket"),
        (["photos:k", "file/x"], 2, "file"),
    ],
)
async def test_what_cannot_be_copied_is_one_clear_line_and_leaves_nothing(
    platform: Platform, arguments: list[str], code: int, says: str
) -> None:
    (platform.here / "file").write_bytes(b"x")
    (platform.here / "folder").mkdir()
    platform.put("k", b"x")
    ran = await platform.cp(*arguments)
    assert (ran.code, ran.out) == (code, b"")
    assert says in ran.err.splitlines()[0]
    assert "Traceback" not in ran.err
    assert (_files(platform.here), _files(platform.folder)) == ({"file": b"x"}, {"k": b"x"})


async def test_a_name_that_is_no_text_is_refused(platform: Platform) -> None:
    Path(os.fsdecode(os.fsencode(platform.here) + b"/\xff")).write_bytes(b"x")
    ran = await platform.cp("-r", ".", "photos:")
    assert (ran.code, "is not UTF-8" in ran.err) == (2, True)


async def test_a_copy_that_takes_over_a_second_shows_a_bar_on_a_terminal(platform: Platform) -> None:
    seen, terminal = pty.openpty()
    os.set_blocking(seen, False)
    process = await asyncio.create_subprocess_exec(
        *FAAS, "cp", "-", "photos:k", env=platform.environ, stdin=asyncio.subprocess.PIPE, stderr=terminal
    )
    os.close(terminal)
    assert process.stdin is not None
    shown = b""

    async def bar() -> bool:
        nonlocal shown
        assert process.stdin is not None
        process.stdin.write(b"x" * (1 << 20))  # the command reads by the megabyte
        await process.stdin.drain()
        shown += _what_came(seen)
        return b"MB" in shown

    await eventually(bar, within=30)
    process.stdin.close()
    assert await process.wait() == 0
    os.close(seen)
    assert (platform.folder / "k").stat().st_size > 1 << 20


def _what_came(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except BlockingIOError:
        return b""
