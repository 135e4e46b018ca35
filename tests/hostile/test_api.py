"""Every route of the control API, given whatever its OpenAPI document does and does not allow."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp
import hypothesis
import pytest
import yarl
from hypothesis import strategies as st

from faas.api import app, openapi, routes
from faas.core import settings as settings_module
from tests.hostile import effort
from tests.served_api import ControlApi, serving

PATIENCE = aiohttp.ClientTimeout(60)
FUZZED = [row for row in app.TABLE if row.handler.__name__ not in ("invoke",)]
"""Calls are left out: nobody runs functions here, so each would wait as long as a call may."""

SEGMENTS = st.one_of(
    st.sampled_from(
        ["nothing", "hello", "photos", "..", "%2e%2e", "%00", "%ff", "a%2Fb", "%0d%0a", "'", "-", "x" * 300]
    ),
    st.from_regex(r"(%[0-9a-f]{2}|[a-z0-9~!$&'()*+,;=:@-]){1,12}", fullmatch=True),
)
VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "1",
            "99999999999999999999",
            "1e9",
            "nan",
            "hello",
            "ok",
            "\0",
            "%",
            "' OR 1=1 --",
            "\U0001f600",
        ]
    ),
    st.text(max_size=20),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Range",
            "If-Range",
            "If-None-Match",
            "Content-Type",
            "Faas-Invocation-Type",
            "Faas-Client-Context",
            "Content-Encoding",
        ]
    ),
    st.one_of(
        st.sampled_from(
            [
                "bytes=0-0",
                "bytes=-1",
                "bytes=9-1",
                "bytes=x",
                "*",
                "multipart/form-data",
                "multipart/form-data; boundary=x",
                "application/json",
                "gzip",
                "async",
                "e30=",
                "{}",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    ),
    max_size=2,
)
BODIES = st.one_of(
    st.none(),
    st.sampled_from(
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b'{"a": 1}',
            b"\xff",
            b"[" * 5000,
            b"--x\r\n\r\n--x--\r\n",
            b"--x\r\nContent-Disposition: x\r\n\r\n",
        ]
    ),
    st.binary(max_size=60),
)


def _address(data: st.DataObject, row: routes.Route) -> str:
    return re.sub(r"\{\w+\}", lambda _: data.draw(SEGMENTS), openapi.path(row))


def _query(row: routes.Route) -> st.SearchStrategy[dict[str, str]]:
    names = [*row.query.__struct_fields__, "nonsense"]
    return st.dictionaries(st.sampled_from(names), VALUES, max_size=3)


@pytest.fixture
async def api(settings: settings_module.Settings) -> AsyncIterator[ControlApi]:
    async with serving(settings) as served:
        served.deploy()
        yield served


@effort.bounded(300)
@hypothesis.given(data=st.data())
async def test_no_input_makes_the_control_api_fail_or_answer_in_another_shape(
    api: ControlApi, data: st.DataObject
) -> None:
    row = data.draw(st.sampled_from(FUZZED))
    address = yarl.URL(f"{api.url}{_address(data, row)}", encoded=True).with_query(data.draw(_query(row)))
    headers, body = data.draw(HEADERS), data.draw(BODIES)
    async with api.session.request(row.method, address, headers=headers, data=body, timeout=PATIENCE) as answer:
        assert answer.status < 500, (row.path, await answer.text())
        if answer.status >= 400 and row.method != "HEAD":
            assert set((await answer.json())["error"]) >= {"code", "message"}, row.path
