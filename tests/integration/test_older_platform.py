"""A command that asks for what its platform does not know: it runs since before the last update of the command line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from faas.cli import client, endpoint
from faas.core import errors
from faas.core import settings as settings_module
from tests.served_api import ControlApi, serving


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


def of(api: ControlApi) -> client.Client:
    return client.Client(endpoint.find(api.settings.data.root))


async def asked(api: ControlApi, method: str, path: str, **query: str) -> errors.FaasError:
    with pytest.raises(errors.FaasError) as caught:
        await asyncio.to_thread(of(api).send, method, path, body=b"{}" if method == "POST" else None, query=query)
    return caught.value


async def test_what_a_platform_does_not_know_is_told_as_its_age_and_with_what_to_do(api: ControlApi) -> None:
    for method, path, query, said in (
        ("GET", "/api/v1/of-tomorrow", {}, "no such path: /api/v1/of-tomorrow"),
        ("PATCH", "/api/v1/functions", {}, "/api/v1/functions does not take PATCH"),
        ("GET", "/api/v1/alarms", {"of": "tomorrow"}, "query: of is not known"),
    ):
        error = await asked(api, method, path, **query)
        assert isinstance(error, errors.Conflict)
        assert error.message == f"the platform at {api.url} is older than this `faas`: {said}"
        assert "`faas down`" in error.hint


async def test_what_is_not_there_on_a_platform_of_this_version_is_told_as_it_is(api: ControlApi) -> None:
    for path in ("/api/v1/functions/nobody", "/api/v1/alarms/nothing", "/api/v1/functions//invocations"):
        error = await asked(api, "GET", path)
        assert not isinstance(error, errors.Conflict)
        assert "older" not in error.message
