"""What the base image has for packages with compiled code. `make test-wheels` tries the packages themselves."""

from __future__ import annotations

import contextlib
import json

import docker
import pytest

from faas.cli import languages
from faas.core import settings as settings_module
from runners.engines.docker import daemon, image

pytestmark = pytest.mark.docker

EVERYWHERE = (
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libz.so.1",
    "libexpat.so.1",
    "libm.so.6",
    "libcrypto.so.3",
    "libffi.so.8",
)
BUILT = (
    *("libatomic.so.1", "libglib-2.0.so.0", "libgobject-2.0.so.0", "libgthread-2.0.so.0", "libX11.so.6"),
    *("libXext.so.6", "libXrender.so.1", "libICE.so.6", "libSM.so.6", "libnsl.so.1", "libgomp.so.1"),
)
LOAD = """
import ctypes, json, socket, sys, zoneinfo
missing = []
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        missing.append(str(error))
print(json.dumps([missing, zoneinfo.ZoneInfo("Europe/Vienna").key, socket.getservbyname("https")]))
"""


def test_the_image_has_the_libraries_that_wheels_may_expect(settings: settings_module.Settings) -> None:
    python = next(iter(languages.known(settings.sandboxes.base_image)))
    with contextlib.closing(daemon.connect()) as client:
        ready = image.ensure(client, settings.data.root, python.image)
        wanted = EVERYWHERE + (BUILT if ready.source.startswith(f"{image.BUILT}:") else ())
        printed = _printed(client, ready.id, ["python3", "-c", LOAD, *wanted])
    assert json.loads(printed) == [[], "Europe/Vienna", 443]


def _printed(client: docker.APIClient, id: str, command: list[str]) -> bytes:
    made = client.create_container(id, command[1:], entrypoint=command[:1], network_disabled=True)["Id"]
    try:
        client.start(made)
        client.wait(made, timeout=60)
        printed: bytes = client.logs(made)
        return printed
    finally:
        client.remove_container(made, force=True)
