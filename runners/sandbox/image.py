"""The base image of the sandboxes: found, pulled or built once, then made ready to start fast.

::

    base_image setting ──► that one, pulled if it is missing
    else one that is there: python:3-slim, python:3.x-slim, or one that was built here before
    else python:3-slim, if a registry answers within seconds
    else the running Debian or Ubuntu release with Python, by mmdebstrap

Making ready happens once per image: its Python compiles its standard library (official images come without bytecode,
and sandboxes cannot write any) and says its version, which becomes a label of the committed result.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import msgspec
import requests

from faas.core import settings
from runners.sandbox import apt_sources, base, docker_calls

Progress = Callable[[str], None]

PULLED = "python:3-slim"
BUILT = "faas-base"
READY = "faas-ready"
LABEL_PYTHON = "faas.python"
PULL_SILENCE_S = 8
PREPARE_WITHIN_S = 300
_SLIM = re.compile(r"^python:3(\.\d+)?-slim$")
_PACKAGES = ("python3", "ca-certificates", "tzdata")
_LEFT_OUT = ("doc", "man", "info", "locale", "lintian", "bug")
_HOOKS = (
    'rm -rf "$1"/var/cache/* "$1"/var/log/*',
    'mkdir -p "$1"/var/task "$1"/var/runtime "$1"/var/faas "$1"/tmp',
    'ln -sfn C.utf8 "$1"/usr/lib/locale/en_US.utf8',
)
_PREPARE = (
    "import compileall, os, sys; assert sys.version_info >= (3, 9), sys.version; "
    "compileall.compile_dir(os.path.dirname(os.__file__), quiet=2, rx=__import__('re').compile('-packages|/test')); "
    "print('python=%d.%d' % sys.version_info[:2])"
)
_FORMAT = "1"


class Image(msgspec.Struct, frozen=True):
    """An image that sandboxes start from: its id, the name it was made from, and its Python ("3.11")."""

    id: str
    source: str
    python: str


def quiet(_line: str) -> None:
    """Progress that nobody wants to see."""


def ensure(client: docker.APIClient, limits: settings.Settings, progress: Progress = quiet) -> Image:
    """The base image, ready to use; blocks for as long as that takes. Raises `base.EngineUnavailable`."""
    try:
        with _locked(limits.root / "image.lock"):
            named = limits.base_image
            source = _named(client, named, progress) if named else _any(client, limits, progress)
            return _ready(client, source, progress)
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise docker_calls.away(error) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One at a time makes an image for a data directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _named(client: docker.APIClient, name: str, progress: Progress) -> str:
    if _inspect(client, name) is not None:
        return name
    if not _pull(client, name, progress):
        raise base.EngineUnavailable(
            f"the base image {name} is not there and cannot be pulled",
            hint="check the setting base_image, or leave it empty",
        )
    return name


def _any(client: docker.APIClient, limits: settings.Settings, progress: Progress) -> str:
    release = _release()
    tag = f"{BUILT}:{_build_digest(release)}"
    found = _there(client, tag)
    if found is not None:
        return found
    if _pull(client, PULLED, progress):
        return PULLED
    _build(client, limits, release, tag, progress)
    return tag


def _there(client: docker.APIClient, built: str) -> str | None:
    tags: list[str] = [tag for found in client.images() for tag in found.get("RepoTags") or ()]
    slim = [tag for tag in tags if _SLIM.match(tag)]
    if PULLED in slim:
        return PULLED
    if slim:
        return max(slim, key=lambda tag: int(tag[len("python:3.") : -len("-slim")]))
    return built if built in tags else None


def _pull(client: docker.APIClient, name: str, progress: Progress) -> bool:
    """Whether a registry gave the image. One that says nothing for some seconds is none."""
    progress(f"pulling {name}")
    impatient = docker_calls.connect(PULL_SILENCE_S)
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


def _build(client: docker.APIClient, limits: settings.Settings, release: str, tag: str, progress: Progress) -> None:
    _check_can_build(release)
    progress(f"building {tag} from {release}; this happens once")
    with tempfile.TemporaryDirectory(dir=limits.root) as folder:
        tree = Path(folder) / "image.tar"
        _bootstrap(release, tree)
        progress(f"importing {tag}")
        repository, _, version = tag.partition(":")
        client.import_image_from_file(str(tree), repository, version, changes=["ENV LANG=C.UTF-8", 'CMD ["python3"]'])
    if _inspect(client, tag) is None:
        raise base.EngineUnavailable(f"Docker did not import {tag}", hint="see Docker's log")


def _check_can_build(release: str) -> None:
    hint = f"pull {PULLED} where there is a network, or name an image in the setting base_image"
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


def _bootstrap(release: str, tree: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=essential", "--format=tar", f"--include={','.join(_PACKAGES)}"]
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


def _build_digest(release: str) -> str:
    parts = (_FORMAT, release, platform.machine(), *_PACKAGES, *_LEFT_OUT, *_HOOKS)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _ready(client: docker.APIClient, source: str, progress: Progress) -> Image:
    found = _inspect(client, source)
    if found is None:
        raise base.EngineUnavailable(f"the base image {source} has gone", hint="start again")
    tag = hashlib.sha256(f"{found['Id']}\0{_PREPARE}".encode()).hexdigest()[:12]
    ready = _inspect(client, f"{READY}:{tag}")
    if ready is None:
        progress(f"preparing {source}")
        _prepare(client, source, found["Id"], tag)
        ready = _inspect(client, f"{READY}:{tag}")
    if ready is None:
        raise base.EngineUnavailable(f"the base image {source} could not be prepared", hint="see Docker's log")
    return Image(ready["Id"], source, ready["Config"]["Labels"][LABEL_PYTHON])


def _prepare(client: docker.APIClient, source: str, id: str, tag: str) -> None:
    made = client.create_container(
        id,
        ["-c", _PREPARE],
        entrypoint=["python3"],
        user="0",
        network_disabled=True,
        host_config=client.create_host_config(network_mode="none", log_config=docker.types.LogConfig(type="json-file")),
    )["Id"]
    try:
        client.start(made)
        status = client.wait(made, timeout=PREPARE_WITHIN_S)["StatusCode"]
        said = client.logs(made).decode(errors="replace").strip().splitlines() or [""]
        if status != 0 or not said[-1].startswith("python="):
            hint = "it must have python3, 3.9 or newer"
            raise base.EngineUnavailable(f"the base image {source} cannot run sandboxes: {said[-1]}", hint=hint)
        changes = [f"LABEL {LABEL_PYTHON}={said[-1].removeprefix('python=')}"]
        client.commit(made, READY, tag, changes=changes)
    finally:
        client.remove_container(made, force=True, v=True)


def _inspect(client: docker.APIClient, name: str) -> dict[str, Any] | None:
    untyped: Any = client
    try:
        found: dict[str, Any] = untyped.inspect_image(name)
    except docker.errors.NotFound:
        return None
    return found
