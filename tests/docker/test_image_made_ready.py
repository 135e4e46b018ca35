"""How an image is made ready: what its runtime's command answers becomes a label, and nothing else does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from faas.cli import languages
from faas.core import ids, settings
from faas.runtimes import port
from runners.engines.docker import daemon, image
from runners.sandbox import base

pytestmark = pytest.mark.docker

NOISE = "i=0; while [ $i -lt 200 ]; do echo noise $i >&2; i=$((i+1)); done"


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    with contextlib.closing(daemon.connect()) as made:
        yield made


@pytest.fixture
def limits(tmp_path: Path, client: docker.APIClient) -> settings.Settings:
    """Settings whose base image is there."""
    own = settings.of(data_dir=str(tmp_path))
    python = next(iter(languages.known(own.sandboxes.base_image)))
    return settings.of(data_dir=own.data.data_dir, base_image=image.ensure(client, own.data.root, python.image).source)


def _wanted(limits: settings.Settings, script: str) -> port.Image:
    """An image that nobody has made ready yet, by a script that is like no other."""
    prepare = ("sh", "-c", f": {ids.new_id()}; {script}")
    return port.Image(
        named=limits.sandboxes.base_image, pulled="", packages=(), prepare=prepare, needs="it must have sh"
    )


@contextlib.contextmanager
def _ready(client: docker.APIClient, limits: settings.Settings, wanted: port.Image) -> Iterator[image.ReadyImage]:
    ready = image.ensure(client, limits.data.root, wanted)
    yield ready
    client.remove_image(ready.id, force=True)


@pytest.mark.parametrize(
    "script",
    [
        f"echo runtime=sh1.0; {NOISE}",
        f"{NOISE}; echo runtime=sh1.0; {NOISE}",
        "echo hello; echo runtime=sh1.0; printf 'no end of line' >&2",
    ],
)
def test_what_it_writes_to_stderr_is_no_answer(
    client: docker.APIClient, limits: settings.Settings, script: str
) -> None:
    with _ready(client, limits, _wanted(limits, script)) as ready:
        assert ready.runtime == "sh1.0"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("true", r"\(status 0\): it says nothing"),
        ("echo runtime=sh1.0; echo cannot go on >&2; exit 3", r"\(status 3\): "),
        ("echo runtime=sh1.0; echo bye", "bye"),
        ("echo runtime=sh1.0 >&2", "runtime=sh1.0"),
        ("echo runtime=", "runtime="),
        ("echo runtime=sh faas.sandbox=/etc", "faas.sandbox=/etc"),
        ("echo 'runtime=sh\" faas.data_dir=\"x'", "faas.data_dir"),
        ("echo runtime=../sh", r"\.\./sh"),
        ("exec definitely-not-there", r"\(status 127\)"),
    ],
)
def test_another_answer_than_the_name_of_a_version_makes_no_image(
    client: docker.APIClient, limits: settings.Settings, script: str, said: str
) -> None:
    with pytest.raises(base.EngineUnavailable, match=f"cannot run sandboxes .*{said}") as refused:
        image.ensure(client, limits.data.root, _wanted(limits, script))
    assert refused.value.hint == "it must have sh"


def test_an_image_that_only_bears_the_name_of_one_made_ready_is_made_ready(
    client: docker.APIClient, limits: settings.Settings
) -> None:
    wanted = _wanted(limits, "echo runtime=sh1.0")
    first = image.ensure(client, limits.data.root, wanted)
    (name,) = client.inspect_image(first.id)["RepoTags"]
    client.tag(limits.sandboxes.base_image, *name.split(":"), force=True)
    client.remove_image(first.id, force=True)
    with _ready(client, limits, wanted) as again:
        assert again.runtime == "sh1.0"
        assert client.inspect_image(name)["Id"] == again.id
