"""`faas deploy`: read the manifest, pack the sources, upload them, and show the build until it is done."""

from __future__ import annotations

import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from faas.cli import client, options, output, pack, progress
from faas.core import errors, manifest, model

_POLL_S = 0.1
_PATIENCE_S = 30
_CHUNK_BYTES = 1 << 20


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path(), metavar="[DIR|FILE]")
@options.json_option
def deploy_command(*, path: Path, as_json: bool) -> None:
    """Deploy the project in DIR (the current folder by default), or the manifest FILE.

    All functions of the manifest become current together, or none: when one fails, what served before goes on serving,
    the function's own error is printed, and the exit code is 7. What did not change makes no new revision; the
    manifest is no part of the code, so a change to it concerns those functions alone whose part changed.

    \b
    faas deploy
    faas deploy examples/hello --json
    """
    project = manifest.load(path)
    api = client.connect()
    with tempfile.TemporaryFile() as spool:
        deployment = _upload(api, project, manifest.file_of(path), spool)
    found = _wait(api, deployment, as_json)
    if found["state"] == "failed":
        error = client.error_of(0, msgspec.json.encode({"error": found["error"]}))
        if not as_json:
            _tell(error)
        raise error
    if as_json:
        output.emit(found)
    else:
        _summarize(api, project, found)


def _upload(api: client.Client, project: model.Project, declared_in: Path, spool: IO[bytes]) -> str:
    settings = options.settings()
    spans = _pack(project, [settings.root, declared_in], spool, settings.max_source_bytes)
    boundary = uuid.uuid4().hex
    body = _multipart(project, spool, spans, boundary)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    reply = api.send("POST", "/api/v1/deployments", body=body, headers=headers)
    return str(reply.value["id"])


def _pack(
    project: model.Project, no_code: Sequence[Path], spool: IO[bytes], max_bytes: int
) -> dict[str, tuple[int, int]]:
    """Pack each distinct source folder once, one after the other; the start and end of each in the spool."""
    leave_out = [*no_code, *(Path(bucket.path) for bucket in project.buckets if bucket.path)]
    spans: dict[str, tuple[int, int]] = {}
    for function in project.functions:
        if function.source not in spans:
            start = spool.tell()
            pack.pack(Path(function.source), spool, leave_out=leave_out, max_bytes=max_bytes)
            spans[function.source] = (start, spool.tell())
    return spans


def _multipart(
    project: model.Project, spool: IO[bytes], spans: dict[str, tuple[int, int]], boundary: str
) -> Iterator[bytes]:
    yield _part(boundary, 'name="project"', "application/json")
    yield msgspec.json.encode(_portable(project))
    for function in project.functions:
        name = urllib.parse.quote(function.name)
        yield b"\r\n" + _part(boundary, f'name="source"; filename="{name}"', "application/x-tar")
        yield from _read(spool, *spans[function.source])
    yield f"\r\n--{boundary}--\r\n".encode()


def _part(boundary: str, disposition: str, media: str) -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {media}\r\n\r\n".encode()


def _read(spool: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    spool.seek(start)
    left = end - start
    while left > 0:
        chunk = spool.read(min(_CHUNK_BYTES, left))
        left -= len(chunk)
        yield chunk


def _portable(project: model.Project) -> model.Project:
    """The project without the folders of this machine: a source is what its tar holds."""
    functions = tuple(msgspec.structs.replace(function, source=".") for function in project.functions)
    return msgspec.structs.replace(project, functions=functions)


def _wait(api: client.Client, deployment: str, as_json: bool) -> dict[str, Any]:
    """Show the steps as they pass, until the deployment is done or has failed."""
    with progress.show(quiet=as_json) as shown:
        while True:
            found = _ask(api, deployment)
            shown.update(found)
            if found["state"] in ("done", "failed"):
                return found
            time.sleep(_POLL_S)


def _ask(api: client.Client, deployment: str) -> dict[str, Any]:
    """How far it is. The deployment goes on while the control API or Redis is started again, so that is waited for."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            found: dict[str, Any] = api.get(f"/api/v1/deployments/{client.quote(deployment)}")
        except errors.Unavailable:
            if time.monotonic() > until:
                raise
            time.sleep(_POLL_S)
            with suppress(errors.Unavailable):  # it may come back on another port
                api = client.connect()
        else:
            return found


def _tell(error: errors.FaasError) -> None:
    """Print what the function's own code printed and raised as it was loaded; its log may hold the traceback, too."""
    logs = "\n".join(error.data.get("logs", ()))
    stack = "\n".join(str(frame).rstrip("\n") for frame in error.data.get("stack", ()))
    for text in (logs, "" if stack in logs else stack):
        if text:
            output.say(text)


def _summarize(api: client.Client, project: model.Project, found: dict[str, Any]) -> None:
    routes = {spec.name: _routes(spec) for spec in project.functions}
    output.table(
        ("FUNCTION", "REVISION", "CHANGED", "URL"),
        [
            (each["function"], each["revision"], each["changed"], ", ".join(api.where.gateway + path for path in paths))
            for each in found["functions"]
            for paths in [routes.get(each["function"], [])]
        ],
    )


def _routes(spec: model.FunctionSpec) -> list[str]:
    return [trigger.path for trigger in spec.config.triggers if isinstance(trigger, model.HttpTrigger)]
