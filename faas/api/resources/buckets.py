"""Objects over HTTP: they are streamed both ways, and appear whole or not at all."""

from __future__ import annotations

import asyncio
import functools
import mimetypes
import operator
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import aiohttp
import msgspec
from aiohttp import web

from faas import buckets
from faas.api import answers, holding, schemas, state
from faas.api.entry import door
from faas.core import errors, model, spelling

_CHUNK_BYTES = 1 << 20
_BYTES = "application/octet-stream"
_PICTURES = frozenset({"image/avif", "image/bmp", "image/gif", "image/jpeg", "image/png", "image/webp"})
"""What a browser may show where it stands. SVG is none: it holds scripts."""
_HINT = "declare it in faas.yaml and deploy"


class ObjectsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which objects: those whose key starts with ``prefix`` and sorts after ``after``."""

    prefix: str = ""
    after: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=buckets.LARGEST_PAGE)] = buckets.PAGE


class _Part(msgspec.Struct, frozen=True):
    first: int
    size: int
    is_range: bool


async def list_objects(request: web.Request) -> web.Response:
    """The first ``limit`` objects that fit, in the order of keys."""
    asked = answers.query(request, ObjectsQuery)
    bucket = await _bucket(request)
    return await asyncio.to_thread(_listed, bucket, asked)


def _listed(bucket: buckets.Bucket, asked: ObjectsQuery) -> web.Response:
    """Also the encoding is for a thread: ten thousand objects would hold up everybody else for tens of milliseconds."""
    found = bucket.list(asked.prefix, asked.after, asked.limit)
    # A page that is full may be the last one all the same: then the next is empty.
    after = found[-1].key if len(found) == asked.limit else None
    return answers.json(schemas.buckets.ObjectList(objects=tuple(_shown(each) for each in found), next=after))


async def list_buckets(request: web.Request) -> web.Response:
    """Every bucket, and who uses it."""
    functions = request.app[state.FUNCTIONS]
    found, revisions = await asyncio.to_thread(lambda: (functions.buckets(), functions.list_current()))
    return answers.json(schemas.buckets.BucketList(tuple(_used(bucket, revisions) for bucket in found)))


def _used(bucket: model.Bucket, revisions: Sequence[model.Revision]) -> schemas.buckets.Bucket:
    name = bucket.name
    users = {each.function: each.config.buckets[name] for each in revisions if name in each.config.buckets}
    watch = [
        each.function
        for each in revisions
        for trigger in each.config.triggers
        if isinstance(trigger, model.UploadTrigger) and trigger.bucket == name
    ]
    return schemas.buckets.Bucket(name=name, path=bucket.path, functions=users, triggers=tuple(dict.fromkeys(watch)))


async def put_object(request: web.Request) -> web.Response:
    """Take an object in; it replaces any other of its key once all of it has come. A broken upload leaves nothing."""
    key, bucket = _key(request), await _bucket(request)
    # It would have to be kept, and told to every reader; objects are bytes, and no more.
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise errors.BadRequest("Content-Encoding is not taken", hint="send the object's own bytes")
    async with holding.held(functools.partial(bucket.begin, key)) as writing:
        size = 0
        async for piece in _pieces(request.content):
            await writing.use(operator.methodcaller("write", piece))
            size += len(piece)
        # Before the commit: half of an object is none.
        if request.content_length not in (None, size):
            raise errors.BadRequest(f"found {size} bytes, expected {request.content_length}")
        written = await writing.use(lambda each: each.commit())
    return answers.json(_shown(written), headers={"ETag": _etag(written)})


async def _pieces(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """A body in pieces that are worth a thread's while: what comes from a socket comes in smaller ones."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size >= _CHUNK_BYTES:
            yield b"".join(chunks)
            chunks, size = [], 0
    yield b"".join(chunks)


async def get_object(request: web.Request) -> web.StreamResponse:
    """Give an object, or one range of it."""
    key, bucket = _key(request), await _bucket(request)
    async with holding.held(functools.partial(bucket.open, key)) as reading:
        found = await reading.use(lambda each: each.object())
        # Of what is open here, so that the answer is about the bytes that would be sent.
        if _is_known(request, found):
            return web.Response(status=304, headers=_headers(found))
        response, part = _response(request, found)
        first, size = part.first, part.size
        await response.prepare(request)
        while size > 0:
            chunk = await reading.use(functools.partial(_read, offset=first, size=min(size, _CHUNK_BYTES)))
            await response.write(chunk)
            first, size = first + len(chunk), size - len(chunk)
        await response.write_eof()
        return response


async def head_object(request: web.Request) -> web.StreamResponse:
    """What `get_object` would say of an object, without its content."""
    key, bucket = _key(request), await _bucket(request)
    found = await asyncio.to_thread(bucket.stat, key)
    if _is_known(request, found):
        return web.Response(status=304, headers=_headers(found))
    return _response(request, found)[0]


async def delete_object(request: web.Request) -> web.Response:
    """Remove an object."""
    key, bucket = _key(request), await _bucket(request)
    await asyncio.to_thread(bucket.delete, key)
    return web.Response(status=204)


async def _bucket(request: web.Request) -> buckets.Bucket:
    name = request.match_info["bucket"]
    known = request.app[state.BUCKETS]
    there = await asyncio.to_thread(request.app[state.FUNCTIONS].buckets)
    # At each request: a deploy of another process may have declared it a moment ago.
    known.adopt(there)
    bucket = known.find(name)
    if bucket is None:
        close = spelling.did_you_mean(name, [each.name for each in there])
        raise errors.NotFound(f"no bucket {name!r}", hint=close or _HINT, bucket=name)
    return bucket


def _key(request: web.Request) -> str:
    """The key from the path as it was sent: what the router makes of ``%`` and of bytes that are no text is a guess."""
    quoted = request.rel_url.raw_path.split("/", 3)[3]
    try:
        return urllib.parse.unquote(quoted, errors="strict")
    except UnicodeDecodeError as error:
        raise errors.BadRequest(f"bad object key {quoted[:80]!r}: it is not UTF-8") from error


def _shown(found: buckets.Object) -> schemas.buckets.Object:
    return schemas.buckets.Object(
        key=found.key, size_bytes=found.size, modified_ms=found.modified_ms, etag=found.etag, version=found.version
    )


def _etag(found: buckets.Object) -> str:
    return f'"{found.etag}"'


def _headers(found: buckets.Object) -> dict[str, str]:
    # Anybody may have written it: pictures alone are shown where the page is, all else is for the disk.
    shown = "inline" if _media_type(found.key) in _PICTURES else "attachment"
    return {
        "ETag": _etag(found),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": shown,
        "Cache-Control": "private, no-cache",
    }


def _is_known(request: web.Request, found: buckets.Object) -> bool:
    return any(tag.value in ("*", found.etag) for tag in request.if_none_match or ())


def _response(request: web.Request, found: buckets.Object) -> tuple[web.StreamResponse, _Part]:
    part = _wanted(request, found)
    headers = _headers(found)
    if part.is_range:
        headers["Content-Range"] = f"bytes {part.first}-{part.first + part.size - 1}/{found.size}"
    response = web.StreamResponse(status=206 if part.is_range else 200, headers=headers)
    media = _media_type(found.key)
    # To a browser's session: no script of a bucket is one to the page, whatever it is called.
    response.content_type = media if door.SESSION not in request or media in _PICTURES else _BYTES
    response.content_length = part.size
    response.last_modified = found.modified_ms / 1000
    return response, part


def _wanted(request: web.Request, found: buckets.Object) -> _Part:
    """What is asked for. A range that cannot be read, several, and one of an older version count as none."""
    whole = _Part(0, found.size, False)
    # Parts of two versions would be put together by a client that goes on with its download.
    if "Range" not in request.headers or request.headers.get("If-Range", _etag(found)) != _etag(found):
        return whole
    try:
        first, end, _ = request.http_range.indices(found.size)
    except ValueError:
        return whole
    if first >= end:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{found.size}"})
    return _Part(first, end - first, True)


def _media_type(key: str) -> str:
    kind, packed = mimetypes.guess_type(f"file:///{urllib.parse.quote(key)}", strict=False)
    # What is packed is not of the type of what is in it.
    return _BYTES if kind is None or packed is not None else kind


def _read(reading: buckets.Reading, offset: int, size: int) -> bytes:
    """Raises `ConnectionResetError` when there is less than was promised: all that can be done is to hang up."""
    try:
        chunk = reading.read(offset, size)
    except errors.FaasError as error:
        raise ConnectionResetError(f"the object cannot be read: {error}") from error
    if not chunk:
        raise ConnectionResetError("somebody cut the object short while it was read")
    return chunk
