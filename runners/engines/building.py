"""Where a build runs what reaches the network: a container of its own, when the engine is Docker.

What it fills are folders of the host under their own paths; it sees its source, the installer and the certificates,
and nothing else of the host. It runs as a user that nobody else is, with limits on memory, processes and time. What
reaches nothing and runs only code of ours (the compiler) stays a limited child: a container takes half a second.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import msgspec
import requests

from faas.core import groups
from faas.runtimes import bounds, children, port
from runners.engines import choose
from runners.engines.docker import abilities, confinement, daemon, image
from runners.sandbox import base

LABEL = "faas.build"
_NAME = re.compile(r"/faas-build-[0-9a-f]{16}")
_UID = 1_900_000_001
_REMAPPED_UID = 60_001
"""Where the engine maps users, so that there are few; none of the sandboxes'."""

_MOST_SAID = 1024 * 1024
_MOST_PIDS = 256
_PASSED = re.compile(r"UV_.*|SSL_CERT_.*|(HTTPS?|ALL|NO)_PROXY|TMPDIR|LANG", re.IGNORECASE)
_GRACE_S = 5


class BuildPlace:
    """A `children.ProgramPlace`: what reaches the network has a container of the runtime's image, if there is Docker.

    A data directory whose engine is Docker never installs outside of one because Docker is away.
    """

    def __init__(self, root: Path, building: groups.Building, engine: str, wanted: port.Image) -> None:
        """``engine`` is the setting of that name."""
        self._root = root
        self._building = building
        self._engine = engine
        self._wanted = wanted
        self._here = children.Here()

    def start(self, job: children.Program, bound: bounds.Bound, longest_s: float) -> children.RunningProgram:
        """See `children.ProgramPlace.start`. Raises `base.EngineUnavailable`."""
        if not job.network or not self._in_containers():
            return self._here.start(job, bound, longest_s)
        client = daemon.connect()
        try:
            made = image.ensure(client, self._root, self._wanted)
            return _Container(client, made.id, job, bound, longest_s, self._root, self._building)
        except (docker.errors.DockerException, requests.RequestException) as error:
            client.close()
            raise daemon.away(error) from error
        except BaseException:
            client.close()
            raise

    def _in_containers(self) -> bool:
        asked = self._building.build_place
        if asked != "auto":
            return asked == "container"
        engine = choose.written_down(self._root) if self._engine == "auto" else self._engine
        return engine == choose.DOCKER


class _Container:
    def __init__(
        self,
        client: docker.APIClient,
        image_id: str,
        job: children.Program,
        bound: bounds.Bound,
        longest_s: float,
        root: Path,
        building: groups.Building,
    ) -> None:
        self._client = client
        self._own = [path for path in (*job.fills, *job.caches, *job.reads) if path.is_relative_to(root)]
        self._id = ""
        # A killed builder can do it for itself no more, so the next one does.
        _sweep(client)
        has = abilities.ask(client)
        user = user_for(has, os.getuid(), os.getgid())
        _give(self._own, user.on_host)
        try:
            self._id = client.create_container(
                image_id,
                **_asked(job, longest_s, user.inside),
                host_config=_host(client, job, bound, _network(client, building), has),
            )["Id"]
            client.start(self._id)
        except BaseException:
            self.kill()
            raise

    def ended(self, within_s: float) -> children.ProgramEnd | None:
        try:
            code = self._client.wait(self._id, timeout=within_s)["StatusCode"]  # type: ignore[arg-type]
        # The container is asked on and on, so that its job's time and its cancelling are looked at in between.
        except requests.exceptions.Timeout:
            return None
        except requests.exceptions.ConnectionError as error:  # how urllib3's read time-outs arrive
            if "timed out" in str(error).lower():
                return None
            raise daemon.away(error) from error
        said = (self._client.logs(self._id, stdout=out, stderr=not out, tail=10_000) for out in (True, False))
        return children.ProgramEnd(code, *(text[-_MOST_SAID:].decode(errors="replace") for text in said))

    def kill(self) -> None:
        if self._id:
            with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
                self._client.remove_container(self._id, force=True)
            self._id = ""
            self._client.close()
        # What the container wrote is its user's, and who reads it next is the platform.
        _give(self._own, (os.getuid(), os.getgid()))


class BuildUser(msgspec.Struct, frozen=True):
    """Whose processes a build's are: user and group in the container, and the numbers that they have on the host."""

    inside: tuple[int, int]
    on_host: tuple[int, int]


def user_for(has: abilities.Abilities, uid: int, gid: int) -> BuildUser:
    """A build's user for an engine, when the platform's is ``uid``. Raises `base.EngineUnavailable`.

    It is nobody else, unless the platform is not root: then it is the platform's, to whom the folders belong.
    """
    if uid != 0:
        # In a rootless engine of that user he has the number 0, whose rights end there.
        return BuildUser((0, 0) if has.is_rootless else (uid, gid), (uid, gid))
    inside = _REMAPPED_UID if has.remaps_users else _UID
    on_host = has.on_host(inside)
    if on_host is None:
        raise base.EngineUnavailable(
            "the engine maps users to others and does not say to which, so no build can be given its folders",
            hint="set build_place to process, or use an engine without userns-remap",
        )
    return BuildUser((inside, inside), (on_host, on_host))


def _network(client: docker.APIClient, building: groups.Building) -> str:
    """The network of a build. An engine that can make no rules for packets may have been started without a bridge."""
    if building.build_network:
        return building.build_network
    return "bridge" if any(each["Name"] == "bridge" for each in client.networks()) else "host"


def _asked(job: children.Program, longest_s: float, user: tuple[int, int]) -> dict[str, Any]:
    # The platform's interpreter is not in the image, which has one of its own.
    command = ["python3" if word == sys.executable else word for word in job.command]
    uid, gid = user
    return {
        "name": f"faas-build-{secrets.token_hex(8)}",
        # The container ends by itself also when nobody is left to end it.
        "entrypoint": ["timeout", "-s", "KILL", str(int(longest_s) + _GRACE_S)],
        "command": command,
        "working_dir": str(job.cwd),
        "environment": {
            **{name: value for name, value in job.env.items() if _PASSED.fullmatch(name)},
            "HOME": "/tmp",  # noqa: S108  the container's own
        },
        "user": f"{uid}:{gid}",
        "labels": {LABEL: "1"},
    }


def _host(
    client: docker.APIClient, job: children.Program, bound: bounds.Bound, network: str, has: abilities.Abilities
) -> dict[str, Any]:
    filled: dict[str, Mapping[str, str]] = {
        str(path): {"bind": str(path), "mode": "rw"} for path in (*job.fills, *job.caches)
    }
    read: dict[str, Mapping[str, str]] = {
        str(path): {"bind": str(path), "mode": "ro"} for path in (*job.reads, *_tools(job))
    }
    made: dict[str, Any] = client.create_host_config(
        # What is read and filled is filled.
        binds=read | filled,
        network_mode=network,
        mem_limit=children.MEMORY_BYTES,
        memswap_limit=confinement.with_swap(children.MEMORY_BYTES, has),
        pids_limit=_MOST_PIDS,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs={"/tmp": "size=64m,mode=1777"},  # noqa: S108  the container's own
        ulimits=_ulimits(bound, has),
        log_config=docker.types.LogConfig(type="json-file", config={"max-size": "4m", "max-file": "1"}),
    )
    return made


def _ulimits(bound: bounds.Bound, has: abilities.Abilities) -> list[docker.types.Ulimit]:
    limits = [("fsize", bound.file_bytes), *confinement.asked_by_podman(has)]
    return [docker.types.Ulimit(name=name, soft=most, hard=most) for name, most in limits]


def _tools(job: children.Program) -> Iterator[Path]:
    """The program, and what says whom it believes."""
    yield Path(job.command[0])
    cafile = ssl.get_default_verify_paths().cafile
    if cafile:
        yield Path(cafile)
    if Path("/etc/uv").is_dir():
        yield Path("/etc/uv")


def _give(folders: Iterable[Path], to: tuple[int, int]) -> None:
    """Let folders and all in them belong to a user; links are not followed."""
    if os.getuid() != 0:
        return
    for folder in folders:
        for place, names, files in os.walk(folder):
            for name in (*names, *files):
                os.chown(Path(place) / name, *to, follow_symlinks=False)
        os.chown(folder, *to, follow_symlinks=False)


def _sweep(client: docker.APIClient) -> None:
    """Remove what killed builders left: containers of the form of ours that have ended."""
    for found in client.containers(all=True, filters={"label": LABEL, "status": "exited"}):
        if any(_NAME.fullmatch(name) for name in found.get("Names") or ()):
            with contextlib.suppress(docker.errors.APIError):
                client.remove_container(found["Id"])
