"""A Docker engine of one's own, so that stopping it stops nobody else's containers. Needs root."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker

from faas.core import settings as settings_module
from faas.core.processes import tether
from tests import base_image
from tests.eventually import eventually_sync

_TAG = ("faas-test-base", "1")
_ENDS_WITHIN_S = 60


class Engine:
    """One engine, with this machine's base image as ``image``. Make it with `own`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self.image = ":".join(_TAG)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start it. It ends with the thread that does this, so that must be the main one."""
        # Namespaces of its own: without them it would take down the bridge of this machine's engine.
        unshare = str(shutil.which("unshare"))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                tether.tethered(
                    [
                        *(unshare, "--net", "--mount", "dockerd"),
                        f"--host={self.host}",
                        f"--data-root={self.folder}/data",
                        f"--exec-root={self.folder}/exec",
                        f"--pidfile={self.folder}/pid",
                        "--bridge=none",
                        "--iptables=false",
                        "--shutdown-timeout=2",
                    ]
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return when it answers."""
        eventually_sync(self._answers, within=60)

    def stop(self) -> None:
        """Stop it, and with it all its containers."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_ENDS_WITHIN_S)
            self._process = None

    def take_image(self) -> None:
        """Give it the base image that this machine's engine has."""
        with contextlib.closing(docker.from_env()) as here, contextlib.closing(docker.DockerClient(self.host)) as own:
            chosen = base_image.of(here.api, settings_module.Settings())
            (loaded,) = own.images.load(b"".join(here.images.get(chosen).save()))
            loaded.tag(*_TAG)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.connect(self.host.removeprefix("unix://"))
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.0 200")
        return False


@contextlib.contextmanager
def own() -> Iterator[Engine]:
    """An engine that answers, for the length of the block."""
    engine = Engine(Path(tempfile.mkdtemp(prefix="faas-")))  # short, since the daemon's sockets lie far below it
    try:
        engine.start()
        engine.take_image()
        yield engine
    finally:
        engine.stop()
        shutil.rmtree(engine.folder)
