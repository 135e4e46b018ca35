"""Objects over HTTP: the real control API on loopback, real folders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yarl

from faas.core import settings as settings_module
from tests import control_api
from tests.eventually import eventually

MIB = 1 << 20


@pytest.fixture
def folder(settings: settings_module.Settings) -> Path:
    """The folder of the one bucket, ``photos``."""
    return control_api.make_bucket(settings)


@pytest.fixture
async def api(settings: settings_module.Settings, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {control_api.TOKEN}"}
    async with control_api.serving(settings) as url, aiohttp.ClientSession(base_url=url, headers=headers) as session:
        yield session


def _at(key: str) -> yarl.URL:
    """The path of an object, sent as it stands here."""
    return yarl.URL(f"/buckets/photos/{urllib.parse.quote(key)}", encoded=True)


async def _put(api: aiohttp.ClientSession, key: str, content: Any) -> dict[str, Any]:
    async with api.put(_at(key), data=content) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        assert answer.headers["ETag"] == f'"{found["etag"]}"'
        return found


async def _keys(api: aiohttp.ClientSession, **query: str | int) -> list[str]:
    async with api.get("/buckets/photos", params=query) as answer:
        return [each["key"] for each in (await answer.json())["objects"]]


@pytest.mark.parametrize(
    "key", ["plain.txt", "a b.txt", "100%.txt", "a+b", "%41", "ünï/日本 語.png", "q?&=#;.txt", "deep/er/x", "new\nline"]
)
async def test_an_object_comes_back_as_it_was_put_whatever_its_name(
    api: aiohttp.ClientSession, folder: Path, key: str
) -> None:
    written = await _put(api, key, b"content")
    assert (folder / key).read_bytes() == b"content"
    assert (written["key"], written["size_bytes"]) == (key, 7)
    async with api.get(_at(key)) as answer:
        assert (answer.status, await answer.read()) == (200, b"content")
        assert answer.headers["ETag"] == f'"{written["etag"]}"'
    async with api.head(_at(key)) as answer:
        assert (answer.status, answer.content_length) == (200, 7)
    assert await _keys(api) == [key]
    async with api.delete(_at(key)) as answer:
        assert answer.status == 204
    assert await _keys(api) == []


async def test_an_empty_object_is_an_object(api: aiohttp.ClientSession, folder: Path) -> None:
    assert (await _put(api, "empty", b""))["size_bytes"] == 0
    async with api.get(_at("empty")) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    assert (folder / "empty").stat().st_size == 0


async def test_fifty_megabytes_pass_in_pieces_both_ways(api: aiohttp.ClientSession, folder: Path) -> None:
    piece = os.urandom(MIB)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before = _peak_memory_kb()
    await _put(api, "large", _pieces(piece, 50))
    async with api.get(_at("large")) as answer:
        assert answer.content_length == 50 * MIB
        async for chunk in answer.content.iter_chunked(MIB):
            assert piece.startswith(chunk) or chunk in piece * 2
    assert _peak_memory_kb() - before < 30 * 1024
    assert (folder / "large").read_bytes() == piece * 50


async def _pieces(piece: bytes, times: int) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield piece


def _peak_memory_kb() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


async def test_an_upload_whose_client_hangs_up_leaves_what_was_there(api: aiohttp.ClientSession, folder: Path) -> None:
    await _put(api, "k", b"before")
    for head in (f"Content-Length: {10 * MIB}", "Transfer-Encoding: chunked"):
        _, writer = await _connected(api)
        body = b"x" * MIB if "Length" in head else f"{MIB:x}\r\n".encode() + b"x" * MIB + b"\r\n"
        writer.write(
            f"PUT /buckets/photos/k HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n{head}\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        await eventually(lambda: _has_unnamed_file(folder))
        writer.close()
        await writer.wait_closed()
        await eventually(lambda: not _has_unnamed_file(folder))
    assert [path.name for path in folder.iterdir()] == ["k"]
    assert (folder / "k").read_bytes() == b"before"


async def _connected(api: aiohttp.ClientSession) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = api._base_url
    assert url is not None
    return await asyncio.open_connection(url.host, url.port)


def _has_unnamed_file(folder: Path) -> bool:
    """Whether this process (the server runs in it) holds a file of the bucket that has no name."""
    return any(target.startswith(f"{folder}/#") for target in _open_files())


def _open_files() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return found


async def test_a_client_that_hangs_up_while_it_reads_frees_the_object(api: aiohttp.ClientSession, folder: Path) -> None:
    await _put(api, "k", _pieces(b"x" * MIB, 32))
    answer = await api.get(_at("k"))
    assert str(folder / "k") in _open_files()
    answer.close()
    await eventually(lambda: str(folder / "k") not in _open_files())


async def test_of_two_uploads_at_once_each_reader_sees_one_whole(api: aiohttp.ClientSession, folder: Path) -> None:
    contents = [bytes([number]) * (3 * MIB) for number in range(2)]
    await _put(api, "k", _halves(contents[0]))
    putting = [asyncio.create_task(_put(api, "k", _halves(content))) for content in contents]
    while not all(task.done() for task in putting):
        async with api.get(_at("k")) as answer:
            assert await answer.read() in contents
    etags = {(await task)["etag"] for task in putting}
    assert len(etags) == 2
    async with api.head(_at("k")) as answer:
        assert answer.headers["ETag"].strip('"') in etags
    assert [path.name for path in folder.iterdir()] == ["k"]


async def _halves(content: bytes) -> AsyncIterator[bytes]:
    yield content[: len(content) // 2]
    yield content[len(content) // 2 :]


async def test_objects_are_listed_by_prefix_from_a_key_on_and_by_the_page(api: aiohttp.ClientSession) -> None:
    for key in ("a/1", "a/2", "a/3", "b", "ü"):
        await _put(api, key, b"x")
    assert await _keys(api) == ["a/1", "a/2", "a/3", "b", "ü"]
    assert await _keys(api, prefix="a/", after="a/1") == ["a/2", "a/3"]
    async with api.get("/buckets/photos", params={"limit": 2}) as answer:
        page = await answer.json()
    assert ([each["key"] for each in page["objects"]], page["next"]) == (["a/1", "a/2"], "a/2")
    assert await _keys(api, after="a/2", limit=2) == ["a/3", "b"]
    async with api.get("/buckets/photos", params={"after": "b"}) as answer:
        assert (await answer.json())["next"] is None


async def test_a_page_holds_as_many_objects_as_are_asked_for_and_ten_thousand_at_most(
    api: aiohttp.ClientSession, folder: Path
) -> None:
    folder.mkdir(parents=True)
    for number in range(10_002):
        (folder / f"{number:05}").touch()
    assert len(await _keys(api)) == 1_000
    found = await _keys(api, limit=10_000)
    assert found == [f"{number:05}" for number in range(10_000)]
    assert await _keys(api, limit=10_000, after=found[-1]) == ["10000", "10001"]
    async with api.get("/buckets/photos", params={"limit": 10_001}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=nonsense", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
    ],
)
async def test_a_range_of_an_object_is_given(
    api: aiohttp.ClientSession, asked: str, status: int, content: bytes | None, told: str | None
) -> None:
    await _put(api, "k", b"0123456789")
    async with api.get(_at("k"), headers={"Range": asked}) as answer:
        assert (answer.status, answer.headers.get("Content-Range")) == (status, told)
        assert content is None or await answer.read() == content
    async with api.get(_at("k"), headers={"Range": asked, "If-Range": '"older"'}) as answer:
        assert (answer.status, await answer.read()) == (200, b"0123456789")


async def test_an_object_that_is_known_is_not_sent_again(api: aiohttp.ClientSession) -> None:
    etag = (await _put(api, "k.webp", b"x"))["etag"]
    async with api.get(_at("k.webp"), headers={"If-None-Match": f'"{etag}"'}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with api.get(_at("k.webp"), headers={"If-None-Match": '"other"'}) as answer:
        assert (answer.status, answer.content_type) == (200, "image/webp")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/buckets/photos/%2e%2e/secret", 400, "bad_request"),
        ("PUT", "/buckets/photos/a/..%2f..%2fsecret", 400, "bad_request"),
        ("PUT", "/buckets/photos/.hidden", 400, "bad_request"),
        ("PUT", "/buckets/photos//a", 400, "bad_request"),
        ("GET", "/buckets/photos/%FF", 400, "bad_request"),
        ("DELETE", "/buckets/photos/a/", 400, "bad_request"),
        ("PUT", "/buckets/photos/" + "k" * 2_000, 400, "bad_request"),
        ("PUT", "/buckets/photos/there/below", 409, "conflict"),
        ("GET", "/buckets/photos/none", 404, "not_found"),
        ("DELETE", "/buckets/photos/none", 404, "not_found"),
        ("GET", "/buckets/other/k", 404, "not_found"),
        ("GET", "/buckets/other", 404, "not_found"),
        ("GET", "/buckets/%2e%2e", 404, "not_found"),
        ("GET", "/buckets/photos?limit=0", 400, "bad_request"),
        ("GET", "/buckets/photos?unknown=1", 400, "bad_request"),
        ("POST", "/buckets/photos/k", 405, "method_not_allowed"),
    ],
)
async def test_what_cannot_be_is_refused_in_the_one_shape(
    api: aiohttp.ClientSession, settings: settings_module.Settings, method: str, path: str, status: int, code: str
) -> None:
    await _put(api, "there", b"x")
    (settings.data.root / "buckets" / "secret").write_text("secret")
    body = b"x" if method == "PUT" else None
    async with api.request(method, yarl.URL(path, encoded=True), data=body) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)
    assert await _keys(api) == ["there"]


async def test_dots_in_a_path_that_is_sent_as_it_is_do_not_lead_out_of_the_bucket(
    api: aiohttp.ClientSession, settings: settings_module.Settings
) -> None:
    await _put(api, "there", b"x")
    (settings.data.root / "buckets" / "secret").write_text("secret")
    reader, writer = await _connected(api)
    writer.write(b"GET /buckets/photos/../secret HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n")
    writer.write(b"Connection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"a name in it starts with a dot" in answer


async def test_nothing_is_done_without_the_token(api: aiohttp.ClientSession, folder: Path) -> None:
    for method in ("GET", "PUT", "HEAD", "DELETE"):
        async with api.request(method, _at("k"), headers={"Authorization": "Bearer wrong"}) as answer:
            assert answer.status == 401
    assert not folder.exists()


async def test_packed_content_is_not_unpacked_behind_the_callers_back(api: aiohttp.ClientSession) -> None:
    async with api.put(_at("k"), data=b"x", headers={"Content-Encoding": "br"}) as answer:
        assert answer.status == 400
    assert await _keys(api) == []


async def test_an_object_that_is_cut_short_while_it_is_read_ends_the_connection(
    api: aiohttp.ClientSession, folder: Path
) -> None:
    await _put(api, "k", _pieces(b"x" * MIB, 64))
    async with api.get(_at("k")) as answer:
        os.truncate(folder / "k", 10)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_the_routes_are_in_the_document(api: aiohttp.ClientSession) -> None:
    async with api.get("/api/v1/openapi.json") as answer:
        paths = json.loads(await answer.read())["paths"]
    assert set(paths["/buckets/{bucket}/{key}"]) == {"get", "put", "head", "delete"}
    assert set(paths["/buckets/{bucket}"]) == {"get"}
