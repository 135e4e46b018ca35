"""Deployments: a project and the sources of its functions come in as one multipart body, progress is read by polling.

The first part is ``project`` (JSON of `model.Project`), then come parts called ``source``, each a tar of a source
folder. The file name of one is the name of a function, or what functions have as their ``source``: so it is sent once,
however many share it. A tar that the platform has built before need not be sent by whom its SHA-256 is named.

Sources go to disk as they arrive, within a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from aiohttp import BodyPartReader, MultipartReader, http_exceptions, web

from faas import artifacts
from faas.api import answers, schemas, state
from faas.builds import checks, folders
from faas.core import errors, ids, model
from faas.core.values import json_words, unreadable

_MAX_PROJECT_BYTES = 1 << 24
_CHUNK_BYTES = 1 << 20
_LOCK = "lock"
"""In an upload's folder, held while it is received: what no process holds was left by one that was killed."""


async def create_deployment(request: web.Request) -> web.Response:
    """Take in a project and queue its deployment."""
    folder = _uploads(request.app) / ids.new_id()
    try:
        with artifacts.out_of_space(), folders.held(folder / _LOCK):
            project, sources = await _receive(request, folder)
            deployment = await asyncio.to_thread(request.app[state.BUILDS].submit, project, sources)
    finally:
        # Also when the client hangs up, which cancels the handler.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
    return answers.json(schemas.deployments.DeploymentId(deployment), status=202)


async def sweep(app: web.Application) -> AsyncIterator[None]:
    """Remove, at the start, what a control API that was killed was receiving."""
    await asyncio.to_thread(_sweep, _uploads(app))
    yield


def _sweep(uploads: Path) -> None:
    for folder in uploads.iterdir() if uploads.is_dir() else ():
        with folders.held_if_free(folder / _LOCK) as free:
            if free:
                shutil.rmtree(folder, ignore_errors=True)


def _uploads(app: web.Application) -> Path:
    return app[state.DATA].root / "uploads"


class ProgressQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of the progress of a deployment."""

    since: Annotated[
        int,
        msgspec.Meta(ge=0, description="Only the steps that changed after so many `changes`; all, after a new run."),
    ] = 0


async def deployment(request: web.Request) -> web.Response:
    """How far a deployment is. Raises `errors.NotFound`."""
    asked = answers.query(request, ProgressQuery)
    builder = request.app[state.BUILDS]
    return answers.json(await asyncio.to_thread(builder.progress, request.match_info["id"], asked.since))


async def _receive(request: web.Request, folder: Path) -> tuple[model.Project, dict[str, Path]]:
    parts = await _parts(request)
    project: model.Project | None = None
    wanted: set[str] = set()
    sources: dict[str, Path] = {}
    left = request.app[state.BUILDING].max_source_bytes
    while (part := await _next(parts)) is not None:
        if part.name == "project":
            if project is not None:
                raise errors.BadRequest("the body: two parts called `project`")
            project = await _project(part)
            # The project comes first for this: a source that nobody wants is refused before its bytes are taken.
            wanted = {name for function in project.functions for name in (function.name, function.source)}
        elif project is None:
            raise errors.BadRequest("the body: the first part must be `project`")
        else:
            name = _wanted(part, wanted, sources)
            # Named by us: what the client calls it is anybody's word.
            sources[name] = folder / f"{len(sources)}.tar"
            left -= await _save(part, sources[name], left)
    return _complete(project, sources)


async def _parts(request: web.Request) -> MultipartReader:
    if not request.content_type.startswith("multipart/"):
        raise errors.BadRequest(f"the body: found {request.content_type}, expected multipart/form-data")
    with _understood():
        return await request.multipart()


async def _next(parts: MultipartReader) -> BodyPartReader | None:
    with _understood():
        part = await parts.next()
    if part is not None and not isinstance(part, BodyPartReader):
        raise errors.BadRequest("the body: found parts in a part")
    return part


async def _chunk(part: BodyPartReader) -> bytes:
    with _understood():
        return await part.read_chunk(_CHUNK_BYTES)


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Turn what aiohttp raises for a body that breaks off, or breaks the rules of its own form, into a bad request."""
    try:
        yield
    except http_exceptions.HttpProcessingError as error:
        raise errors.BadRequest("the body does not come as its header says") from error
    except (ValueError, RuntimeError) as error:
        raise errors.BadRequest(f"the body: {error}") from error


async def _project(part: BodyPartReader) -> model.Project:
    content = bytearray()
    while chunk := await _chunk(part):
        content += chunk
        if len(content) > _MAX_PROJECT_BYTES:
            raise errors.TooLarge(f"project: over {_MAX_PROJECT_BYTES} bytes", limit=_MAX_PROJECT_BYTES)
    try:
        return msgspec.json.decode(bytes(content), type=model.Project)
    except unreadable.ERRORS as error:
        raise errors.BadRequest(f"project: {json_words.why(error)}") from error


def _wanted(part: BodyPartReader, wanted: Collection[str], sources: Collection[str]) -> str:
    name = part.filename or ""
    if part.name != "source" or name not in wanted:
        raise errors.BadRequest(f"the body: part {part.name!r} of {name!r} belongs to no function of the project")
    if name in sources:
        raise errors.BadRequest(f"the body: two sources of {name!r}")
    return name


async def _save(part: BodyPartReader, path: Path, max_bytes: int) -> int:
    """Write a part to disk as it arrives; how many bytes it had. Raises `errors.TooLarge`."""
    size = 0
    with path.open("xb") as file:
        # The bytes are counted as they come: what the client says of their number is its word.
        while chunk := await _chunk(part):
            size += len(chunk)
            if size > max_bytes:
                raise errors.TooLarge("the sources are too large", hint="see max_source_bytes in the settings")
            await asyncio.to_thread(file.write, chunk)
    return size


def _complete(project: model.Project | None, sources: dict[str, Path]) -> tuple[model.Project, dict[str, Path]]:
    if project is None:
        raise errors.BadRequest("the body: no part is called `project`")
    of_functions = {
        function.name: sources.get(function.name) or sources.get(function.source) for function in project.functions
    }
    found = {name: path for name, path in of_functions.items() if path is not None}
    if missing := checks.without_source(project, found):
        raise errors.BadRequest(f"the body: no source of {', '.join(missing)}")
    return project, found
