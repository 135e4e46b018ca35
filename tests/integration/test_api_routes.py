"""The rules that hold for every route of the control API, tried on every row of its table over a real socket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

import aiohttp
import jsonschema
import pytest
import yarl

from faas.api import app, middleware, openapi, routes
from faas.core import settings as settings_module
from tests import promised
from tests.served_api import ControlApi, serving

CLOSED = [row for row in app.TABLE if row.path not in middleware.OPEN_PATHS]


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        yield served


def path(row: routes.Route) -> str:
    """The row's path, of things that do not exist."""
    return re.sub(r"\{\w+\}", "nothing", openapi.path(row))


async def refused(
    api: ControlApi, rows: Iterable[routes.Route], status: int, code: str, *, method: str = "", **options: object
) -> None:
    """Every row answers this status, with the one body that errors have and with whose fault it was."""
    for row in rows:
        where = (row.method, row.path)
        async with api.session.request(method or row.method, f"{api.url}{path(row)}", **options) as answer:
            assert answer.status == status, (*where, await answer.text())
            assert answer.headers["Faas-Error"] == "platform", where
            value = await answer.json()
        promised.hold(method or row.method, path(row), status, value)
        if value is None:
            continue
        error = value["error"]
        assert error["code"] == code, where
        assert len(error["message"].splitlines()) == 1, where


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic {token}"}])
async def test_nobody_comes_in_without_the_token_on_loopback_too(api: ControlApi, given: dict[str, str]) -> None:
    async with aiohttp.ClientSession(
        headers={name: text.format(token=api.token) for name, text in given.items()}
    ) as no:
        for row in CLOSED:
            async with no.request(row.method, f"{api.url}{path(row)}") as answer:
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), row.path
                promised.hold(row.method, path(row), 401, await answer.json())
        async with no.get(f"{api.url}/nowhere") as answer:
            assert answer.status == 401


async def test_only_healthz_and_the_login_need_no_token(api: ControlApi) -> None:
    assert {row.path for row in app.TABLE} - {row.path for row in CLOSED} == {"/healthz", "/api/v1/login"}
    async with aiohttp.ClientSession() as anyone, anyone.get(f"{api.url}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_a_query_that_no_route_takes_is_refused_by_every_route(api: ControlApi) -> None:
    await refused(api, app.TABLE, 400, "bad_request", params={"nonsense": "1"})


async def test_what_does_not_exist_is_not_found(api: ControlApi) -> None:
    rows = [row for row in app.TABLE if 404 in row.errors]
    assert {"describe_function", "remove_function", "invoke", "invocation", "deployment"} <= {
        row.handler.__name__ for row in rows
    }
    named = [row for row in rows if "{" in row.path]
    await refused(api, named, 404, "not_found")
    # The others list what there is, of one function when they are asked for that.
    await refused(api, [row for row in rows if row not in named], 404, "not_found", params={"function": "nosuch"})


async def test_no_route_takes_a_method_that_it_does_not_name(api: ControlApi) -> None:
    taken = {openapi.path(row): {each.method for each in app.TABLE if each.path == row.path} for row in app.TABLE}
    await refused(api, app.TABLE, 405, "method_not_allowed", method="PATCH")
    for row in app.TABLE:
        async with api.session.patch(f"{api.url}{path(row)}") as answer:
            assert set(answer.headers["Allow"].split(",")) == taken[openapi.path(row)]


@pytest.mark.parametrize("path", ["/{}", "/api/v1/functions/{}", "/api/v1/invocations/{}", "/api/v1/logs?search={}"])
async def test_an_address_with_a_nul_is_refused(api: ControlApi, path: str) -> None:
    address = yarl.URL(f"{api.url}{path.format('%00')}", encoded=True)
    async with api.session.get(address) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "odd", ["%ff", "%ed%a0%80", "a%20b", "..%2f..", "%22", "%0d%0aX-Evil:%201", "%7f", "x" * 5_000]
)
async def test_an_odd_name_is_one_that_does_not_exist(api: ControlApi, odd: str) -> None:
    for where in ("functions", "invocations", "deployments"):
        async with api.session.get(yarl.URL(f"{api.url}/api/v1/{where}/{odd}", encoded=True)) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "not_found"), where


@pytest.mark.parametrize("unknown", ["/nowhere", "/api", "/api/v1", "/api/v2/functions", "/api/v1/functions/a/b", "/~"])
async def test_an_unknown_path_is_not_found_in_the_same_shape(api: ControlApi, unknown: str) -> None:
    status, value = await api.call("GET", unknown)
    assert (status, value["error"]["code"]) == (404, "not_found")


async def test_a_key_that_stands_twice_in_a_query_is_refused(api: ControlApi) -> None:
    status, value = await api.call("GET", "/api/v1/logs?limit=1&limit=2")
    assert (status, value["error"]["key"]) == (400, "limit")


async def test_the_document_holds_every_route_and_is_whole(api: ControlApi) -> None:
    document = await api.get("/api/v1/openapi.json")
    assert document["openapi"].startswith("3.1")
    operations = {(verb.upper(), where) for where, verbs in document["paths"].items() for verb in verbs}
    assert operations == {(row.method, openapi.path(row)) for row in app.TABLE}
    ids = [operation["operationId"] for verbs in document["paths"].values() for operation in verbs.values()]
    assert len(set(ids)) == len(ids)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for reference in set(re.findall(r'"\$ref":\s*"([^"]+)"', (await _text(api)))):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference


async def _text(api: ControlApi) -> str:
    async with api.session.get(f"{api.url}/api/v1/openapi.json") as answer:
        return await answer.text()


async def test_the_document_names_every_parameter_and_which_routes_need_no_token(api: ControlApi) -> None:
    document = await api.get("/api/v1/openapi.json")
    for where, verbs in document["paths"].items():
        for operation in verbs.values():
            named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", where))
            assert (operation.get("security") == []) == (where in middleware.OPEN_PATHS)
    records = document["paths"]["/api/v1/invocations"]["get"]["parameters"]
    assert {each["name"] for each in records} == {
        "function",
        "since_ms",
        "status",
        "limit",
        "before",
        "root_id",
        "order",
    }
