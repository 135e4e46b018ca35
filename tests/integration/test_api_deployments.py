"""What the control API makes of uploads that no client of ours would send, and that none of them leaves anything."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from faas import builds
from faas.api import server
from faas.cli import languages
from faas.core import settings as settings_module
from tests.eventually import eventually
from tests.project_files import function, project, tar

BOUNDARY = "b0undary"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
_PATH = "/api/v1/deployments"


class Api:
    """A control API that serves, and what its uploads left in the data directory."""

    def __init__(self, url: str, settings: settings_module.Settings) -> None:
        self.url = url
        self.settings = settings

    async def post(self, body: bytes, content_type: str = MULTIPART, **headers: str) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": "Bearer t0ken", "Content-Type": content_type, **headers}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url + _PATH, data=io.BytesIO(body), headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    def left(self) -> list[str]:
        folders = (self.settings.data.root / "uploads", self.settings.data.root / "builds")
        return [str(path) for folder in folders if folder.is_dir() for path in folder.rglob("*")]


@pytest_asyncio.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[Api]:
    """One whose data directory holds what one before it was receiving when it was killed."""
    (settings.data.root / "uploads/0190-killed").mkdir(parents=True)
    (settings.data.root / "uploads/0190-killed/0.tar").touch()
    settings = settings_module.changed(settings, max_source_bytes=300_000)
    (settings.data.root / "token").write_text("t0ken\n")
    builder = builds.Builds(
        settings.data, settings.redis, settings.building, languages.known(settings.sandboxes.base_image)
    )
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(server.run(settings, stop, ready.set_result, builder))
    await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
    yield Api(ready.result()["url"], settings)
    stop.set()
    await serving
    builder.close()


def part(disposition: str, content: bytes, *more: str) -> bytes:
    headers = "\r\n".join((f"Content-Disposition: form-data; {disposition}", *more))
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + content + b"\r\n"


def source(name: str = "hello", content: bytes = b"x" * 1000, *more: str) -> bytes:
    return part(f'name="source"; filename="{name}"', content, *more)


END = f"--{BOUNDARY}--\r\n".encode()
PROJECT = part('name="project"', msgspec.json.encode(project(function())))
NESTED = f"--{BOUNDARY}\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--i--\r\n".encode()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{}", "application/json", 400, "expected multipart/form-data"),
        (b"", "text/plain", 400, "expected multipart/form-data"),
        (PROJECT + source() + END, "multipart/form-data", 400, "boundary"),
        (PROJECT + source() + END, "multipart/form-data; boundary=" + "x" * 71, 400, "boundary"),
        (PROJECT + source() + END, "multipart/form-data; boundary=other", 400, "the body"),
        (b"", MULTIPART, 400, "the body"),
        (b"rubbish", MULTIPART, 400, "the body"),
        (END, MULTIPART, 400, "no part is called `project`"),
        (source() + PROJECT + END, MULTIPART, 400, "the first part must be `project`"),
        (PROJECT + PROJECT + source() + END, MULTIPART, 400, "two parts called `project`"),
        (PROJECT + NESTED + END, MULTIPART, 400, "parts in a part"),
        (PROJECT + END, MULTIPART, 400, "no source of hello"),
        (PROJECT + source("other") + END, MULTIPART, 400, "belongs to no function"),
        (PROJECT + source("../../x") + END, MULTIPART, 400, "belongs to no function"),
        (PROJECT + part('name="source"', b"x") + END, MULTIPART, 400, "belongs to no function"),
        (PROJECT + source() + source() + END, MULTIPART, 400, "two sources of 'hello'"),
        (PROJECT + source() + part('name="more"', b"x") * 2000 + END, MULTIPART, 400, "belongs to no function"),
        (part('name="project"', b"{") + source() + END, MULTIPART, 400, "project: "),
        (part('name="project"', b'{"functions": 1}') + source() + END, MULTIPART, 400, "project: "),
        (part('name="project"', b"\xff" * 10) + source() + END, MULTIPART, 400, "project: "),
        (part('name="project"', b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}") + END, MULTIPART, 400, "project: "),
        (part('name="project"', b" " * (1 << 24) + b"{}") + END, MULTIPART, 413, "project: over"),
        (PROJECT + source(content=bytes(300_001)) + END, MULTIPART, 413, "the sources are too large"),
        (PROJECT + source()[:-500], MULTIPART, 400, "the body: "),
        (PROJECT + source(), MULTIPART, 400, "the body: "),
        (PROJECT[:-20], MULTIPART, 400, "project: "),
        (PROJECT + source("hello", b"x", "X-Long: " + "x" * 20_000) + END, MULTIPART, 400, "the body"),
        (PROJECT + source("hello", b"x", *(f"X-{n}: x" for n in range(500))) + END, MULTIPART, 400, "the body"),
        (PROJECT + source("hello", b"x", "not a header") + END, MULTIPART, 400, "the body"),
    ],
)
async def test_a_body_that_is_no_deployment_is_refused_with_its_reason_and_leaves_nothing(
    body: bytes, content_type: str, status: int, said: str, api: Api
) -> None:
    got, answer = await api.post(body, content_type)
    assert (got, said in answer["error"]["message"]) == (status, True), answer
    assert api.left() == []


async def test_what_a_killed_control_api_was_receiving_is_swept_at_the_next_start(api: Api) -> None:
    assert api.left() == []


async def test_without_the_token_nothing_is_taken_in(api: Api) -> None:
    status, answer = await api.post(PROJECT + source() + END, Authorization="Bearer wrong")
    assert (status, answer["error"]["code"]) == (401, "unauthorized")
    assert api.left() == []


async def test_two_thousand_functions_are_refused(api: Api) -> None:
    names = [f"f{number}" for number in range(2000)]
    body = part('name="project"', msgspec.json.encode(project(*map(function, names))))
    status, answer = await api.post(body + b"".join(source(name, b"x") for name in names) + END)
    assert (status, "at most" in answer["error"]["message"]) == (400, True), answer
    assert api.left() == []


async def test_as_many_functions_as_a_project_may_have_are_taken_in_and_told_of(api: Api) -> None:
    """With names as long as names may be: what the job says of itself grows with them, and is believed."""
    content = tar(api.settings.data.root / "made.tar", {"app.py": "x = 1\n"}).read_bytes()
    shared = [msgspec.structs.replace(function(f"{number:063d}"), source="shared") for number in range(1_000)]
    body = part('name="project"', msgspec.json.encode(project(*shared))) + source("shared", content) + END
    status, answer = await api.post(body)
    assert status == 202, answer
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer t0ken"}) as session,
        session.get(f"{api.url}{_PATH}/{answer['id']}") as told,
    ):
        found = await told.json()
    assert (told.status, found["state"], len(found["steps"])) == (200, "queued", 5_001), found


@pytest.mark.parametrize("sent", [PROJECT + source()[:-500], PROJECT[:-20], b""])
async def test_a_client_that_hangs_up_half_way_leaves_nothing(sent: bytes, api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t0ken\r\nContent-Type: {MULTIPART}\r\n"
    writer.write(f"{head}Content-Length: 1000000\r\n\r\n".encode() + sent)
    await writer.drain()
    await eventually(lambda: bool(api.left()))
    writer.transport.abort()
    await eventually(lambda: api.left() == [])


async def test_a_source_that_functions_share_is_sent_and_counted_once(api: Api) -> None:
    content = tar(api.settings.data.root / "made.tar", {"data.bin": bytes(250_000)}).read_bytes()
    shared = [msgspec.structs.replace(function(f"f{number}"), source="shared") for number in range(3)]
    body = part('name="project"', msgspec.json.encode(project(*shared))) + source("shared", content) + END
    status, answer = await api.post(body)
    assert status == 202, answer
    left = sorted(path.name for path in (api.settings.data.root / "builds" / answer["id"]).iterdir())
    assert left == ["0.tar", "lock", "request.json"]


async def test_a_source_that_is_only_named_is_asked_for_when_it_was_not_built_before(api: Api) -> None:
    unsent = msgspec.structs.replace(function(), source="f" * 64)
    status, answer = await api.post(part('name="project"', msgspec.json.encode(project(unsent))) + END)
    assert (status, answer["error"]["code"], answer["error"]["missing"]) == (409, "source_missing", ["f" * 64])
    assert api.left() == []


async def test_what_is_taken_in_leaves_no_upload(api: Api) -> None:
    content = tar(api.settings.data.root / "made.tar", {"app.py": "x = 1\n"}).read_bytes()
    status, answer = await api.post(PROJECT + source(content=content) + END)
    assert status == 202
    assert list((api.settings.data.root / "uploads").iterdir()) == []
    assert [path.name for path in (api.settings.data.root / "builds").iterdir()] == [answer["id"]]
