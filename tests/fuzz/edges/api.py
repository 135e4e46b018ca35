"""The control API, from its own OpenAPI document: what it allows, what it does not, and bytes that are no HTTP."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import re
import urllib.parse
import uuid
import warnings
from collections.abc import Iterable
from typing import Any

import aiohttp
import jsonschema
import msgspec

from faas.core import model
from faas.core import settings as settings_module
from tests import promised, served_api
from tests.fuzz import client, edge, responses, schemas, trees

_TOKEN = b"@TOKEN@"
_PREFIX = re.compile(r"\{\w+\}")
_SEGMENTS = (
    "nothing",
    "hello",
    "photos",
    "a/b",
    "..",
    "%2e%2e",
    "%00",
    "%ff",
    "a%2Fb",
    "%0d%0a",
    "'",
    "-",
    "x" * 300,
    "1..1",
    "1..99999999999999999999",
    "logs",
    "0190b5a0-0000-7000-8000-000000000001",
    "",
)
_HEADERS = ("Range", "If-Range", "If-None-Match", "Content-Type", "Faas-Invocation-Type", "Faas-Delay",
    "Faas-Client-Context", "Idempotency-Key",
            "Content-Encoding", "Origin", "Accept-Encoding", "Expect", "If-Modified-Since", "Host", "Content-Length",
            "Cookie")  # fmt: skip
_VALUES = ("bytes=0-0", "bytes=-1", "bytes=9-1", "bytes=" + "9" * 30 + "-", "*", '"x', "multipart/form-data",
           "multipart/form-data; boundary=x", "application/json; charset=utf-7", "text/plain; charset=nothing",
           "gzip", "deflate", "async", "sync", "1s", "31d", "e30=", "{}", "\u00e9", "x" * 9_000,
           "null", "100-continue", "Sun, 99 Nov 2026", "0", "-1", "a\tb")  # fmt: skip
_PATIENCE_S = 0.3
_TAR = bytes(1024)


class ApiEdge(edge.Edge):
    """A control API that serves, with a function, a bucket and records. An input is one connection's requests.

    ``@TOKEN@`` in it stands for the token.
    """

    name = "api"
    at_once = 6
    most_bytes = 60_000
    made_anew = 0.8
    patience_s = 60.0
    needs_redis = True
    tokens = (_TOKEN, b"/api/v1/", b"GET ", b"POST ", b"DELETE ", b"HTTP/1.1\r\n", b"Content-Length: ",
    b"Authorization: Bearer @TOKEN@\r\n",
              b"Transfer-Encoding: chunked\r\n", b"--x\r\n", b"--x--\r\n",
              b'Content-Disposition: form-data; name="project"\r\n\r\n',
              *(each.encode() for each in _SEGMENTS))  # fmt: skip

    async def open(self, around: edge.Around) -> None:
        """Serve, and know good values of all that the document names."""
        # A warning of aiohttp's about a part that it cannot name is not raised where no tests run.
        for kind in (aiohttp.BadContentDispositionHeader, aiohttp.BadContentDispositionParam):
            warnings.simplefilter("ignore", kind)
        data = around.home / "data"
        data.mkdir()
        settings = settings_module.of(
            data_dir=str(data), redis_url=around.redis_url, redis_prefix=f"{around.prefix}{uuid.uuid4().hex[:8]}",
            port=0, api_port=0,
            grace_ms=2_000, max_queue_wait_ms=20, receive_timeout_ms=3_000, max_waiting=500,
        )  # fmt: skip
        self._stack = contextlib.AsyncExitStack()
        self._api = await self._stack.enter_async_context(served_api.serving(settings))
        config = msgspec.structs.replace(served_api.CONFIG, timeout_ms=20)
        self._api.deploy(config=config)
        self._api.functions.activate([], [model.Bucket(name="photos")])
        self._id = self._api.record().invocation_id
        self._address = ("127.0.0.1", int(self._api.url.rsplit(":", 1)[1]))
        self._operations = _operations()
        self._values = schemas.Values(promised.document())
        self._schema = msgspec.json.schema(model.Project)
        self._projects = schemas.Values(self._schema)

    async def close(self) -> None:
        """Serve no more."""
        await self._stack.aclose()

    def seeds(self) -> Iterable[bytes]:
        """A good request of each route."""
        chance = random.Random(0)
        for method, template, operation in _operations():
            target = _PREFIX.sub("hello", template)
            body = b"{}" if "requestBody" in operation else b""
            yield _request(method, target, {}, body, chance)

    def make(self, chance: random.Random) -> bytes:
        """A request whose parts are each as the document says, or not."""
        method, template, operation = chance.choice(self._operations)
        target = _PREFIX.sub(lambda _: self._segment(chance), template) + self._query(chance, operation)
        headers = {chance.choice(_HEADERS): chance.choice(_VALUES) for _ in range(chance.choice((0, 0, 1, 3)))}
        return _request(method, target, headers, self._body(chance, operation, headers), chance)[: self.most_bytes]

    async def attempt(self, given: bytes) -> str:
        """Send it, and hold the answers against the document."""
        sent = given.replace(_TOKEN, self._api.token.encode())
        # Who sends no more gets no answer here, other than at the gateway: aiohttp takes him for gone.
        pieces, whence = client.pieces(sent), client.whence(given)
        heard = await client.says(self._address, pieces, whence=whence, ends=False, patience_s=_PATIENCE_S)
        try:
            found = responses.parsed(heard.said)
        except edge.Broken:
            if heard.was_reset:
                return "reset"
            raise
        for response in found:
            responses.check_shape(response)
        if len(found) == 1 and found[0].is_whole:
            _hold(given, found[0])
        return " ".join(_way(response) for response in found[:3])

    async def look(self) -> None:
        """Another client is served meanwhile."""
        asked = _request("GET", "/api/v1/functions", {}, b"", random.Random(0))
        heard = await client.says(self._address, [asked.replace(_TOKEN, self._api.token.encode())], ends=False)
        edge.check(heard.said.startswith(b"HTTP/1.1 200 OK\r\n"), f"another client was told: {heard.said[:200]!r}")

    def _segment(self, chance: random.Random) -> str:
        return chance.choice((self._id, "hello", "photos", chance.choice(_SEGMENTS)))

    def _query(self, chance: random.Random, operation: dict[str, Any]) -> str:
        named = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
        given: list[tuple[str, Any]] = []
        for each in chance.sample(named, chance.randint(0, min(3, len(named)))):
            value = self._values.one(chance, each["schema"]) if chance.random() < 0.6 else chance.choice(trees.ODD)
            given.append((each["name"], value if isinstance(value, str) else json.dumps(value)))
        if chance.random() < 0.05:
            given.append(chance.choice((("nonsense", "1"), *given)))
        if not given:
            return ""
        return "?" + urllib.parse.urlencode([(name, value.encode("utf-8", "surrogatepass")) for name, value in given])

    def _body(self, chance: random.Random, operation: dict[str, Any], headers: dict[str, str]) -> bytes:
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return b"" if chance.random() < 0.9 else b"{}"
        ((media, described),) = content.items()
        if media.startswith("multipart/"):
            headers.setdefault("Content-Type", "multipart/form-data; boundary=x")
            return self._deployment(chance)
        value = self._values.one(chance, described["schema"])
        if chance.random() < 0.5:
            value = trees.changed(chance, value)
        return chance.choice(
            (json.dumps(value).encode("utf-8", "surrogatepass"), b"", b"{", b"\xff", b"[" * 5_000, b"null")
        )

    def _deployment(self, chance: random.Random) -> bytes:
        project = (
            self._projects.one(chance, self._schema) if chance.random() < 0.7 else {"functions": [], "buckets": []}
        )
        if chance.random() < 0.7:
            project = trees.changed(chance, project)
        parts = [_part('name="project"', json.dumps(project).encode("utf-8", "surrogatepass"))]
        names = _names(project)
        parts += [_part(f'name="source"; filename="{name}"', _TAR) for name in names[:3]]
        if chance.random() < 0.3:
            parts.append(
                _part(
                    chance.choice(
                        (
                            'name="source"',
                            'name="project"',
                            'filename="../x"',
                            "",
                            "name=\"source\"; filename*=utf-8''%ff",
                        )
                    ),
                    b"x",
                )
            )
        if chance.random() < 0.1:
            chance.shuffle(parts)
        return b"".join(parts) + chance.choice((b"--x--\r\n", b"--x--\r\n", b"--x", b""))


def _names(project: Any) -> list[Any]:
    """What the functions of a project are called, if it is one."""
    functions = project.get("functions") if isinstance(project, dict) else None
    return [each.get("name") for each in functions if isinstance(each, dict)] if isinstance(functions, list) else []


@functools.cache
def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    document = promised.document()
    return [
        (method.upper(), path, each) for path, methods in document["paths"].items() for method, each in methods.items()
    ]


def _request(method: str, target: str, headers: dict[str, str], body: bytes, chance: random.Random) -> bytes:
    fields = {
        "Host": "localhost",
        "Authorization": "Bearer @TOKEN@",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    if chance.random() < 0.03:
        fields.pop(chance.choice(list(fields)))
    target = urllib.parse.quote(target, safe="/%?&=:,'~!$()*+;@-._")
    head = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def _part(disposition: str, content: bytes) -> bytes:
    return (
        f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode("utf-8", "surrogatepass")
        + content
        + b"\r\n"
    )


def _way(response: responses.Response) -> str:
    return (
        str(response.status)
        if response.status < 400
        else f"{response.status} {edge.said(response.body[:200].decode(errors='replace'))[:70]}"
    )


def _hold(given: bytes, response: responses.Response) -> None:
    """Fail when the document does not name this status for the route, or another shape of its JSON."""
    line = given.partition(b"\r\n")[0].split(b" ")
    if (
        len(line) != 3
        or not line[1].startswith(b"/")
        or response.status in (421, 403, 408, 431, 414, 304)
        or line[0] == b"HEAD"
    ):
        return  # what the server answers before there is a route
    known = _route(
        line[0].decode(errors="replace"), urllib.parse.unquote(line[1].decode(errors="replace").partition("?")[0])
    )
    if known is None:
        return
    named = known["responses"].get(str(response.status))
    edge.check(
        named is not None or response.status in (405, 417),
        f"{line[0].decode()} {known['operationId']} is not said to answer {response.status}",
    )
    if named is not None and response.fields.get("content-type", "").startswith("application/json") and response.body:
        schema = named.get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            _validator(json.dumps(schema)).validate(json.loads(response.body))


def _route(method: str, path: str) -> dict[str, Any] | None:
    for template, methods in promised.document()["paths"].items():
        if method.lower() in methods and re.fullmatch(_PREFIX.sub("[^/]+", template), path):
            return dict(methods[method.lower()])
    return None


@functools.cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**json.loads(schema), "components": promised.document()["components"]})
