"""Taking deployments in over the control API: what is accepted, what is refused, and that refusals leave nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from faas.core import settings as settings_module
from tests.control_api import ControlApi, serving
from tests.project_files import function, project, tar

PATH = "/api/v1/deployments"


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(msgspec.structs.replace(settings, max_source_bytes=50_000)) as served:
        yield served


def body(tmp_path: Path, size: int = 1, name: str = "hello") -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("project", msgspec.json.encode(project(function())).decode(), content_type="application/json")
    source = tar(tmp_path / "0.tar", {"app.py": "x" * size}).read_bytes()
    form.add_field("source", source, filename=name, content_type="application/x-tar")
    return form


def left(api: ControlApi) -> list[Path]:
    return [path for path in (api.settings.root / "uploads").rglob("*") if path.is_file()]


async def test_a_deployment_is_queued_and_its_progress_can_be_read(api: ControlApi, tmp_path: Path) -> None:
    status, value = await api.call("POST", PATH, data=body(tmp_path))
    assert status == 202
    found = await api.get(f"{PATH}/{value['id']}")
    assert (found["id"], found["state"]) == (value["id"], "queued")
    assert left(api) == []


async def test_sources_over_the_limit_are_refused_and_removed(api: ControlApi, tmp_path: Path) -> None:
    status, value = await api.call("POST", PATH, data=body(tmp_path, size=60_000))
    assert (status, value["error"]["code"]) == (413, "too_large")
    assert left(api) == []


async def test_a_body_that_is_no_project_with_its_sources_is_refused_and_removed(
    api: ControlApi, tmp_path: Path
) -> None:
    for wrong in (
        b"plain",
        body(tmp_path, name="other"),
        aiohttp.FormData({"project": "{}"}, default_to_multipart=True),
    ):
        status, value = await api.call("POST", PATH, data=wrong)
        assert (status, value["error"]["code"]) == (400, "bad_request"), value
    assert left(api) == []
