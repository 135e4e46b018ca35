"""The functions: list, describe, remove."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from faas import artifacts
from faas.api import answers, schemas, state, views
from faas.api.resources import invocations
from faas.artifacts import sbom
from faas.core import model
from faas.store import functions


async def list_functions(request: web.Request) -> web.Response:
    """Every function by its current revision."""
    return await asyncio.to_thread(_listed, request.app[state.FUNCTIONS])


def _listed(store: functions.Functions) -> web.Response:
    """Also the encoding is for a thread: ten thousand functions would hold up everybody else."""
    listed = sorted(map(views.function, store.list_current()), key=lambda function: function.name)
    return answers.json(schemas.functions.FunctionList(tuple(listed)))


async def describe_function(request: web.Request) -> web.Response:
    """One function, its revisions, and where its invocations are."""
    revision = await invocations.current(request)
    name = revision.function
    revisions = await asyncio.to_thread(request.app[state.FUNCTIONS].revisions, name)
    places = await request.app[state.CALLS].places()
    return answers.json(views.description(revision, revisions, views.places(places, [name])[name]))


async def bill_of_materials(request: web.Request) -> web.Response:
    """What is installed in the artifact of the current revision, as CycloneDX."""
    revision = await invocations.current(request)
    made = await asyncio.to_thread(_materials, artifacts.Artifacts(request.app[state.DATA].root), revision)
    return answers.json(made)


def _materials(store: artifacts.Artifacts, revision: model.Revision) -> dict[str, Any]:
    with store.open(revision.artifact) as artifact:
        found = sbom.packages(artifact)
    return sbom.document(revision.function, revision.number, revision.artifact, found)


async def remove_function(request: web.Request) -> web.Response:
    """Take the function out of the catalog and tell the nodes; records and logs stay."""
    revision = await invocations.current(request)
    await request.app[state.CALLS].queue()  # nothing is removed while the nodes cannot be told
    ended = await asyncio.to_thread(request.app[state.FUNCTIONS].remove, revision.function)
    # Gone from the catalog already: nodes that do not hear of it look by themselves a little later.
    await request.app[state.CALLS].announce(ended.version)
    return answers.json(schemas.functions.Removed(revision.function, ended.alarms))
