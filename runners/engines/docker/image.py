"""The base image of a runtime's sandboxes: found, pulled or built once, then made ready to start fast.

::

    one that a setting names ──► that one, pulled if it is missing
    else one that is there: the tag that would be pulled, one like it, or one that was built here before
    else the tag to pull (python:3-slim), if a registry answers within seconds
    else the running Debian or Ubuntu release with the runtime's packages, by mmdebstrap

Making ready happens once per image: it runs the runtime's own command, which says the version, and that becomes a label
of the committed result.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import msgspec
import requests

from faas.runtimes import port
from runners.engines.docker import apt_sources, daemon
from runners.sandbox import base

Progress = Callable[[str], None]

BUILT = "faas-base"
READY = "faas-ready"
LABEL_RUNTIME = "faas.runtime"
PULL_SILENCE_S = 8
PREPARE_WITHIN_S = 300
_LEFT_OUT = ("doc", "man", "info", "locale", "lintian", "bug")
_HOOKS = (
    'rm -rf "$1"/var/cache/* "$1"/var/log/*',
    'mkdir -p "$1"/var/task "$1"/var/runtime "$1"/var/faas "$1"/tmp',
    # Much code asks for this locale by its name, and any of UTF-8 will do.
    'ln -sfn C.utf8 "$1"/usr/lib/locale/en_US.utf8',
)
_ANSWER = re.compile(r"runtime=([a-z][a-z0-9]*(?:[.-][a-z0-9]+)*)")
"""What becomes a label is matched whole: an image must not add labels of its own to it."""
_FORMAT = "1"


class ReadyImage(msgspec.Struct, frozen=True):
    """An image that sandboxes start from: its id, the name it was made from, and what it has ("python3.11")."""

    id: str
    source: str
    runtime: str


def quiet(_line: str) -> None:
    """Progress that nobody wants to see."""


def ensure(client: docker.APIClient, root: Path, wanted: port.Image, progress: Progress = quiet) -> ReadyImage:
    """A runtime's image, ready to use; blocks for as long as that takes. Raises `base.EngineUnavailable`."""
    try:
        with _locked(root / "image.lock"):
            source = _named(client, wanted, progress) if wanted.named else _any(client, root, wanted, progress)
            return _ready(client, source, wanted, progress)
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise daemon.away(error) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time makes an image for a data directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _named(client: docker.APIClient, wanted: port.Image, progress: Progress) -> str:
    name = wanted.named
    if _inspect(client, name) is not None:
        return name
    if not _pull(client, name, progress):
        raise base.EngineUnavailable(
            f"the base image {name} is not there and cannot be pulled",
            hint=f"check the setting {wanted.setting}, or leave it empty",
        )
    return name


def _any(client: docker.APIClient, root: Path, wanted: port.Image, progress: Progress) -> str:
    release = _release()
    tag = f"{BUILT}:{_build_digest(release, wanted)}"
    found = _there(client, wanted, tag)
    if found is not None:
        return found
    if _pull(client, wanted.pulled, progress):
        return wanted.pulled
    _build(client, root, wanted, release, tag, progress)
    return tag


def _there(client: docker.APIClient, wanted: port.Image, built: str) -> str | None:
    # Podman puts a registry before every name, also before those that have none.
    tags = [str(tag).removeprefix("localhost/") for found in client.images() for tag in found.get("RepoTags") or ()]
    if wanted.pulled in tags:
        return wanted.pulled
    like = {tag: int(fits[1]) for tag in tags if (fits := re.fullmatch(wanted.like, tag))} if wanted.like else {}
    if like:
        # The newest version that is there.
        return max(like, key=like.__getitem__)
    return built if built in tags else None


def _pull(client: docker.APIClient, name: str, progress: Progress) -> bool:
    """Whether a registry gave the image. One that says nothing for some seconds is none."""
    progress(f"pulling {name}")
    # A client of its own: the time of this one's reads is how long a registry may say nothing.
    impatient = daemon.connect(PULL_SILENCE_S)
    repository, _, tag = name.rpartition(":")
    try:
        for event in impatient.pull(repository or name, tag=tag if repository else None, stream=True, decode=True):
            if "error" in event:
                progress(f"cannot pull {name}: {event['error']}")
                return False
    except (docker.errors.DockerException, requests.RequestException) as error:
        progress(f"cannot pull {name}: {_why(error)}")
        return False
    finally:
        impatient.close()
    return _inspect(client, name) is not None


def _why(error: Exception) -> str:
    """One line for a person: what the engine said, or that nothing was heard."""
    said = error.explanation if isinstance(error, docker.errors.APIError) else None
    return str(said or f"no registry answered within {PULL_SILENCE_S} s").splitlines()[0]


def _build(
    client: docker.APIClient,
    root: Path,
    wanted: port.Image,
    release: str,
    tag: str,
    progress: Progress,
) -> None:
    _check_can_build(release, wanted)
    progress(f"building {tag} from {release}; this happens once")
    with tempfile.TemporaryDirectory(dir=root) as folder:
        tree = Path(folder) / "image.tar"
        _bootstrap(release, tree, wanted.packages)
        progress(f"importing {tag}")
        repository, _, version = tag.partition(":")
        command = json.dumps(wanted.prepare[:1])
        changes = ["ENV LANG=C.UTF-8", f"CMD {command}"]
        client.import_image_from_file(str(tree), repository, version, changes=changes)
    if _inspect(client, tag) is None:
        raise base.EngineUnavailable(f"Docker did not import {tag}", hint="see Docker's log")


def _check_can_build(release: str, wanted: port.Image) -> None:
    hint = f"pull {wanted.pulled} where there is a network"
    if wanted.setting:
        hint += f", or name an image in the setting {wanted.setting}"
    if not release:
        raise base.EngineUnavailable(
            "there is no base image, and this is no Debian or Ubuntu to build one of", hint=hint
        )
    if shutil.which("mmdebstrap") is None:
        hint = f"run `apt-get install mmdebstrap` as root; or {hint}"
        raise base.EngineUnavailable("there is no base image, and mmdebstrap is missing to build one", hint=hint)
    if os.geteuid() != 0:
        hint = f"start the platform as root once; or {hint}"
        raise base.EngineUnavailable("there is no base image, and only root can build one", hint=hint)


def _bootstrap(release: str, tree: Path, packages: Sequence[str]) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=essential", "--format=tar", f"--include={','.join(packages)}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    command += [f"--customize-hook={hook}" for hook in _HOOKS]
    made = subprocess.run(
        [*command, release, str(tree), *apt_sources.lines_for(release)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if made.returncode != 0:
        faults = [line for line in made.stderr.splitlines() if line.startswith(("E:", "error"))]
        reason = [*faults, *made.stderr.splitlines(), "it gave no reason"][0]
        raise base.EngineUnavailable(f"mmdebstrap could not build a base image: {reason}", hint="check apt's sources")


def _release() -> str:
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def _build_digest(release: str, wanted: port.Image) -> str:
    parts = (_FORMAT, release, platform.machine(), *wanted.packages, *_LEFT_OUT, *_HOOKS)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _ready(client: docker.APIClient, source: str, wanted: port.Image, progress: Progress) -> ReadyImage:
    found = _inspect(client, source)
    if found is None:
        raise base.EngineUnavailable(f"the base image {source} has gone", hint="start again")
    # By what it was made of, so that a new base image, or another command, is made ready anew.
    made_by = "\0".join((found["Id"], *wanted.prepare))
    tag = hashlib.sha256(made_by.encode()).hexdigest()[:12]
    ready = _made(client, source, f"{READY}:{tag}")
    if ready is None:
        progress(f"preparing {source}")
        _prepare(client, source, found["Id"], tag, wanted)
        ready = _made(client, source, f"{READY}:{tag}")
    if ready is None:
        raise base.EngineUnavailable(f"the base image {source} could not be prepared", hint="see Docker's log")
    return ready


def _made(client: docker.APIClient, source: str, name: str) -> ReadyImage | None:
    """The image of this name; None when there is none, or one that was not made ready here."""
    found = _inspect(client, name)
    runtime = ((found or {}).get("Config", {}).get("Labels") or {}).get(LABEL_RUNTIME)
    return None if found is None or runtime is None else ReadyImage(found["Id"], source, runtime)


def _prepare(client: docker.APIClient, source: str, id: str, tag: str, wanted: port.Image) -> None:
    made = client.create_container(
        id,
        list(wanted.prepare[1:]),
        entrypoint=list(wanted.prepare[:1]),
        user="0",
        network_disabled=True,
        host_config=client.create_host_config(network_mode="none", log_config=docker.types.LogConfig(type="json-file")),
    )["Id"]
    try:
        client.start(made)
        status = client.wait(made, timeout=PREPARE_WITHIN_S)["StatusCode"]
        # The engine keeps no order between the two streams, so the answer is looked for in the one alone.
        answer = _ANSWER.fullmatch(_last_line(client.logs(made, stdout=True, stderr=False)))
        if status != 0 or answer is None:
            said = _last_line(client.logs(made)) or "it says nothing"
            raise base.EngineUnavailable(
                f"the base image {source} cannot run sandboxes (status {status}): {said}", hint=wanted.needs
            )
        client.commit(made, READY, tag, changes=[f"LABEL {LABEL_RUNTIME}={answer[1]}"])
    finally:
        client.remove_container(made, force=True, v=True)


def _last_line(text: bytes) -> str:
    return (text.decode(errors="replace").strip().splitlines() or [""])[-1]


def _inspect(client: docker.APIClient, name: str) -> dict[str, Any] | None:
    untyped: Any = client
    try:
        found: dict[str, Any] = untyped.inspect_image(name)
    except docker.errors.NotFound:
        return None
    return found
