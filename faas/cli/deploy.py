"""`faas deploy`: read the manifest, pack the sources, upload them, and show the build until it is done."""

from __future__ import annotations

import hashlib
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import click
import msgspec

from faas.cli import (
    aftermath,
    agreeing,
    client,
    layout,
    left_out,
    options,
    output,
    pack,
    platform_dir,
    progress,
    showing,
)
from faas.core import errors, model
from faas.core import settings as settings_module
from faas.core.manifest import loading

_POLL_S = 0.1
_PATIENCE_S = 30
_CHUNK_BYTES = 1 << 20


class Tar(NamedTuple):
    """A packed source: where it is in the spool, and the SHA-256 of its bytes."""

    start: int
    end: int
    sha256: str


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path(), metavar="[DIR|FILE]")
@click.option("--yes", "-y", "agrees", is_flag=True, help="Agree to folders of the project as buckets, unasked.")
@options.json_option
def deploy_command(*, path: Path, agrees: bool, as_json: bool) -> None:
    """Deploy the project in DIR (the current folder by default), or the manifest FILE.

    All functions of the manifest become current together, or none: when one fails, what served before goes on serving,
    the function's own error is printed, and the exit code is 7. What did not change makes no new revision; the
    manifest is no part of the code, so a change to it concerns those functions alone whose part changed.

    A source is sent once, however many functions share it, and not at all when the platform has built it before.
    A link in it that leaves the project is refused.

    What is left out of the source is said: secrets and keys always, what `.faasignore` and `.gitignore` name, what
    tools leave behind, and files that `faas cp` wrote there. So is what the deploy leaves behind (a function that is
    gone from faas.yaml serves on) or takes over, and how many objects a new upload trigger skips.

    A bucket with a `path` lies below a folder of the setting bucket_roots. A folder of the project is asked for, once:
    functions will read and write it as the user who runs the platform. Any other is refused.

    \b
    faas deploy
    faas deploy examples/hello --json
    faas deploy --yes                      # agree to the folders of the project that are buckets
    """
    project = loading.load(path)
    api = client.connect()
    # Looked at before: afterwards nobody knows what served.
    settings, before = options.settings(), aftermath.served(api)
    agreeing.see_to(project, loading.file_of(path), platform_dir.as_running(settings), agrees=agrees)
    missing: dict[str, list[str]] = {}
    with tempfile.TemporaryFile() as spool:
        deployment = _upload(api, project, loading.file_of(path), spool, missing)
    if not as_json:
        for line in left_out.said(missing):
            output.say(line)
    found = _wait(api, deployment, as_json)
    if found["state"] == "failed":
        # No status: the request went well, and what failed is a deployment.
        error = client.error_of(0, msgspec.json.encode({"error": found["error"]}))
        if not as_json:
            _tell(error)
        raise error
    after = aftermath.settle(api, project, loading.file_of(path), settings.data.root, before)
    if as_json:
        output.emit({**found, "left_out": missing, **msgspec.to_builtins(after)})
    else:
        _summarize(api, project, found)
        aftermath.say(after)


def _upload(
    api: client.Client, project: model.Project, declared_in: Path, spool: IO[bytes], missing: dict[str, list[str]]
) -> str:
    """Queue the deployment, and send those sources alone that the platform has not built before; its id.

    ``missing`` gets what is left out of them, by the reason.
    """
    settings = options.settings()
    tars = _pack(project, declared_in, settings, spool, missing)
    portable = _portable(project, tars)
    try:
        # Without any: the platform says which ones it has not built before.
        return _send(api, portable, spool, [])
    except errors.FaasError as error:
        if error.code != errors.SourceMissing.code:
            raise
        return _send_missing(api, portable, spool, tars, error.data.get("missing", ()))


def _send_missing(
    api: client.Client, portable: model.Project, spool: IO[bytes], tars: dict[str, Tar], missing: Sequence[str]
) -> str:
    distinct = {tar.sha256: tar for tar in tars.values()}
    return _send(api, portable, spool, [distinct[sha256] for sha256 in missing if sha256 in distinct])


def _send(api: client.Client, portable: model.Project, spool: IO[bytes], tars: Sequence[Tar]) -> str:
    boundary = uuid.uuid4().hex
    body = _multipart(portable, spool, tars, boundary)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return str(api.send("POST", "/api/v1/deployments", body=body, headers=headers).value["id"])


def _pack(
    project: model.Project,
    declared_in: Path,
    settings: settings_module.Settings,
    spool: IO[bytes],
    missing: dict[str, list[str]],
) -> dict[str, Tar]:
    """Pack each distinct source folder once, one after the other in the spool; each folder's tar."""
    # A data directory or a bucket may lie in the project; sent along, each deploy would be larger than the last.
    leave_out = [settings.data.root, declared_in, *(Path(bucket.path) for bucket in project.buckets if bucket.path)]
    tars: dict[str, Tar] = {}
    for function in project.functions:
        if function.source not in tars:
            start = spool.tell()
            found = pack.pack(
                Path(function.source),
                spool,
                leave_out=leave_out,
                max_bytes=settings.building.max_source_bytes,
                project=declared_in.absolute().parent,
            )
            for reason, names in found.items():
                missing.setdefault(reason, []).extend(names)
            # One spool for all: a project may have hundreds of sources, and descriptors are few.
            tars[function.source] = Tar(start, spool.tell(), _sha256(spool, start))
    return tars


def _sha256(spool: IO[bytes], start: int) -> str:
    """The SHA-256 of what the spool holds from a place on."""
    spool.seek(start)
    digest = hashlib.sha256()
    while chunk := spool.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _multipart(portable: model.Project, spool: IO[bytes], tars: Sequence[Tar], boundary: str) -> Iterator[bytes]:
    yield _part(boundary, 'name="project"', "application/json")
    yield msgspec.json.encode(portable)
    for tar in tars:
        yield b"\r\n" + _part(boundary, f'name="source"; filename="{tar.sha256}"', "application/x-tar")
        yield from _read(spool, tar.start, tar.end)
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


def _portable(project: model.Project, tars: dict[str, Tar]) -> model.Project:
    """The project without the folders of this machine: a source is called by the SHA-256 of its tar."""
    functions = tuple(
        msgspec.structs.replace(function, source=tars[function.source].sha256) for function in project.functions
    )
    return msgspec.structs.replace(project, functions=functions)


def _wait(api: client.Client, deployment: str, as_json: bool) -> dict[str, Any]:
    """Show the steps as they pass, until the deployment is done or has failed."""
    with progress.show(quiet=as_json) as shown:
        steps: dict[tuple[str | None, str], dict[str, Any]] = {}
        found: dict[str, Any] = {"changes": 0}
        while True:
            found = _ask(api, deployment, found["changes"])
            steps |= {(step["function"], step["name"]): step for step in found["steps"]}
            shown.update(list(steps.values()), found["steps"])
            if found["state"] in ("done", "failed"):
                return {**found, "steps": list(steps.values())}
            time.sleep(_POLL_S)


def _ask(api: client.Client, deployment: str, since: int) -> dict[str, Any]:
    """How far it is, with the steps that changed after so many changes.

    The deployment goes on while the control API or Redis is started again, so that is waited for.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            found: dict[str, Any] = api.get(f"/api/v1/deployments/{client.quote(deployment)}", since=since)
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
    logs = "\n".join(showing.without_repeats(error.data.get("logs", ()), error.message))
    stack = "\n".join(str(frame).rstrip("\n") for frame in error.data.get("stack", ()))
    # A function's log mostly holds the traceback already, as Python prints it.
    for text in (logs, "" if stack in logs else stack):
        if text:
            output.say(text)


def _summarize(api: client.Client, project: model.Project, found: dict[str, Any]) -> None:
    routes = {spec.name: _routes(spec) for spec in project.functions}
    output.table(
        (layout.Column("FUNCTION", cut=True), "REVISION", layout.Column("CHANGED", drop=1), "URL"),
        [
            (each["function"], each["revision"], each["changed"], ", ".join(api.where.gateway + path for path in paths))
            for each in found["functions"]
            for paths in [routes.get(each["function"], [])]
        ],
    )


def _routes(spec: model.FunctionSpec) -> list[str]:
    return [trigger.path for trigger in spec.config.triggers if isinstance(trigger, model.HttpTrigger)]
