"""Sessions of the page: what their cookie is good for, and by which requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faas.api.entry import sessions
from faas.core import errors

NOW = 1_700_000_000_000
KEY = sessions.SessionKey.of("a token")


def test_a_session_is_read_as_it_was_signed_until_it_is_over() -> None:
    session = KEY.begin(NOW)
    value = KEY.sign(session)
    assert KEY.read(value, NOW) == session
    assert KEY.read(value, session.expires_at_ms - 1) == session
    assert KEY.read(value, session.expires_at_ms) is None


def test_no_two_sessions_are_the_same() -> None:
    assert KEY.sign(KEY.begin(NOW)) != KEY.sign(KEY.begin(NOW))


def test_sessions_end_with_the_token() -> None:
    value = KEY.sign(KEY.begin(NOW))
    other = sessions.SessionKey.of("another token")
    assert other.read(value, NOW) is None
    assert other.cookie != KEY.cookie


def test_the_cookie_tells_nothing_of_the_token() -> None:
    assert "a token" not in KEY.cookie + KEY.sign(KEY.begin(NOW))


@pytest.mark.parametrize("place", ["expires", "id", "signature", "length"])
def test_a_changed_cookie_is_none(place: str) -> None:
    expires, id, signature = KEY.sign(KEY.begin(NOW)).split(".")
    changed = {
        "expires": f"{int(expires) + 1}.{id}.{signature}",
        "id": f"{expires}.{id[:-1]}{'a' if id[-1] != 'a' else 'b'}.{signature}",
        "signature": f"{expires}.{id}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "length": f"{expires}.{id}.{signature[:-4]}",
    }
    assert KEY.read(changed[place], NOW) is None


@given(st.text())
def test_whatever_a_cookie_holds_it_is_read_or_refused(value: str) -> None:
    assert KEY.read(value, NOW) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("site", [None, "same-origin", "none"])
def test_the_page_itself_and_an_address_that_was_typed_may_look(method: str, site: str | None) -> None:
    sessions.refuse_forged(method, {} if site is None else {"Sec-Fetch-Site": site})


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("site", ["same-site", "cross-site", "anything"])
def test_a_page_of_another_port_or_site_may_not(method: str, site: str) -> None:
    with pytest.raises(errors.Forbidden):
        sessions.refuse_forged(method, {"Sec-Fetch-Site": site, "Origin": "http://h", "Faas-Page": "1"})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("sent", [{}, {"Origin": "http://h"}, {"Faas-Page": "1"}])
def test_a_change_needs_the_origin_and_the_pages_own_field(method: str, sent: dict[str, str]) -> None:
    with pytest.raises(errors.Forbidden):
        sessions.refuse_forged(method, sent)
    sessions.refuse_forged(method, {"Origin": "http://h", "Faas-Page": "1"})


def test_a_code_is_known_by_a_digest() -> None:
    assert sessions.digest("code") == sessions.digest("code") != sessions.digest("Code")
    assert "code" not in sessions.digest("code")
    sessions.digest("\ud800")
