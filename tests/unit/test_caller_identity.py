"""Which header fields tell who calls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triggers.gateway import identity

TELL = (
    "authorization proxy-authorization cookie x-api-key apikey x-auth-token x-amz-security-token x-session-id x-user"
    " x-user-id x-user-name x-account-id x-tenant x-forwarded-client-cert x-goog-authenticated-user-email x-csrf-token"
    " x-hub-signature x-client-id x-organization-token x-org-id x-role from x-ms-client-principal-id x-jwt-assertion"
)
TELL_NOTHING = (
    "user-agent idempotency-key traceparent x-request-id content-type content-length accept host date x-forwarded-for"
    " accept-encoding x-amzn-trace-id b3 connection x-client-version"
)


@pytest.mark.parametrize("name", TELL.split())
def test_what_services_know_their_callers_by_tells_who_calls(name: str) -> None:
    assert identity.tells_who(name)


@pytest.mark.parametrize("name", TELL_NOTHING.split())
def test_what_changes_from_try_to_try_tells_nothing(name: str) -> None:
    assert not identity.tells_who(name)


_values = st.text(st.characters(codec="latin-1", exclude_characters="\0\r\n"), max_size=4)
_fields = st.lists(st.tuples(st.sampled_from(("authorization", "cookie", "x-token")), _values), max_size=4)


@given(_fields, _fields)
def test_two_callers_are_one_only_when_all_that_tells_them_apart_is_the_same(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    assert (identity.of_fields(one) == identity.of_fields(other)) == (sorted(one) == sorted(other))


def test_fields_that_are_no_text_are_told_apart_too() -> None:
    assert identity.of_fields([("cookie", "\udcff")]) != identity.of_fields([("cookie", "\udcfe")])


@pytest.mark.parametrize(
    ("address", "counted_by"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("127.0.0.2", "127.0.0.2"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", None),
        ("::1", None),
        ("", None),
        ("no:address", "no:address"),
    ],
)
def test_a_client_is_counted_by_its_address_or_the_network_that_it_has_whole(
    address: str, counted_by: str | None
) -> None:
    assert identity.of_address(address) == counted_by
