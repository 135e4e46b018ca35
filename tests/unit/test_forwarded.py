"""Who asked, and by which scheme, host and port: what is believed of a proxy in front, and what functions are told."""

from __future__ import annotations

import pytest

from faas.core import errors
from faas.core.http import addresses
from triggers.gateway import forwarded, request

PROXY = "10.0.0.9"
TRUSTED = addresses.networks("10.0.0.0/8, ::1, 127.0.0.1", "trusted_proxies")


def head(*fields: str, host: str = "h.example:8080") -> request.Head:
    lines = ["GET /x HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *fields, "", ""]
    return request.read_head("\r\n".join(lines).encode())


def told(seen: forwarded.Forwarded) -> dict[str, str]:
    return dict(seen.fields)


def test_every_request_has_the_fields_that_every_gateway_adds() -> None:
    seen = forwarded.seen(head(), "203.0.113.5", ())
    assert told(seen) == {
        "host": "h.example:8080",
        "x-forwarded-for": "203.0.113.5",
        "x-forwarded-proto": "http",
        "x-forwarded-port": "8080",
    }
    assert (seen.client_ip, seen.host) == ("203.0.113.5", "h.example")


@pytest.mark.parametrize(("host", "port"), [("h", "80"), ("h:8080", "8080"), ("[::1]:99", "99"), ("[::1]", "80")])
def test_the_port_is_the_one_that_the_client_named(host: str, port: str) -> None:
    assert told(forwarded.seen(head(host=host), "::1", ()))["x-forwarded-port"] == port


CLAIMS = (
    "X-Forwarded-For: 198.51.100.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Host: shop.example",
    "X-Forwarded-Prefix: /app",
    "X-Forwarded-Ssl: on",
    "Forwarded: for=198.51.100.7;proto=https",
    "X-Real-IP: 198.51.100.7",
)


def test_a_stranger_is_believed_nothing() -> None:
    seen = forwarded.seen(head(*CLAIMS), "203.0.113.5", TRUSTED)
    assert told(seen) == told(forwarded.seen(head(), "203.0.113.5", ()))
    assert (seen.client_ip, seen.host) == ("203.0.113.5", "h.example")


@pytest.mark.parametrize("peer", ["203.0.113.5", PROXY])
def test_no_claim_passes_with_underscores_that_a_wsgi_application_takes_for_hyphens(peer: str) -> None:
    disguised = [f"{name.replace('-', '_')}: {value}" for name, value in (each.split(": ") for each in CLAIMS[:-2])]
    plain = told(forwarded.seen(head("X_Mine: 1"), peer, TRUSTED))
    assert told(forwarded.seen(head("X_Mine: 1", "X_Real-IP: 1", *disguised), peer, TRUSTED)) == plain
    assert plain["x_mine"] == "1"


def test_a_trusted_proxy_is_believed_and_added_to_those_who_passed_it_on() -> None:
    seen = forwarded.seen(head(*CLAIMS), PROXY, TRUSTED)
    assert (seen.client_ip, seen.host) == ("198.51.100.7", "shop.example")
    fields = told(seen)
    assert fields["x-forwarded-for"] == "198.51.100.7, 10.0.0.9"
    assert (fields["x-forwarded-proto"], fields["x-forwarded-port"]) == ("https", "443")
    assert fields["x-forwarded-prefix"] == "/app"
    assert fields["forwarded"] == "for=198.51.100.7;proto=https"


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        ("1.2.3.4, 198.51.100.7", "198.51.100.7"),
        ("1.2.3.4, 10.0.0.3", "1.2.3.4"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("unknown", PROXY),
        ("unknown, 10.0.0.3", "10.0.0.3"),
        ("", PROXY),
        (", ,", PROXY),
        ("<script>", PROXY),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_proxy(hops: str, client: str) -> None:
    assert forwarded.seen(head(f"X-Forwarded-For: {hops}"), PROXY, TRUSTED).client_ip == client


def test_hops_may_come_in_several_fields() -> None:
    seen = forwarded.seen(head("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 10.0.0.3"), PROXY, TRUSTED)
    assert (seen.client_ip, told(seen)["x-forwarded-for"]) == ("1.1.1.1", "1.1.1.1, 10.0.0.3, 10.0.0.9")


@pytest.mark.parametrize(
    ("claim", "proto", "port"),
    [
        ("X-Forwarded-Proto: https", "https", "8080"),
        ("X-Forwarded-Proto: HTTPS", "https", "8080"),
        ("X-Forwarded-Proto: http, https", "https", "8080"),
        ("X-Forwarded-Proto: gopher", "http", "8080"),
        ("X-Forwarded-Port: 8443", "http", "8443"),
        ("X-Forwarded-Port: 99999", "http", "8080"),
        ("X-Forwarded-Port: 1e3", "http", "8080"),
    ],
)
def test_what_a_proxy_says_is_taken_as_far_as_it_makes_sense(claim: str, proto: str, port: str) -> None:
    fields = told(forwarded.seen(head(claim), PROXY, TRUSTED))
    assert (fields["x-forwarded-proto"], fields["x-forwarded-port"]) == (proto, port)


FORWARDED = "Forwarded: for=198.51.100.7;proto=https;host=shop.example"


def test_a_trusted_proxy_may_say_it_by_the_standard_field() -> None:
    seen = forwarded.seen(head(FORWARDED, 'Forwarded: for="[fd00::1]:4711", for=10.0.0.3'), PROXY, TRUSTED)
    assert (seen.client_ip, seen.host) == ("fd00::1", "shop.example")
    fields = told(seen)
    assert fields["x-forwarded-for"] == "198.51.100.7, [fd00::1]:4711, 10.0.0.3, 10.0.0.9"
    assert (fields["x-forwarded-proto"], fields["x-forwarded-port"]) == ("https", "443")
    assert told(forwarded.seen(head("Forwarded: host=h:444"), PROXY, TRUSTED))["x-forwarded-port"] == "444"
    assert told(forwarded.seen(head("Forwarded: proto=gopher"), PROXY, TRUSTED))["x-forwarded-proto"] == "http"


@pytest.mark.parametrize("field", ["For: 203.0.113.9", "Proto: http", "Port: 80", "Host: h.example"])
def test_the_standard_field_is_nothing_beside_those_that_most_proxies_set(field: str) -> None:
    """A proxy that sets these may pass on the other as a client sent it."""
    seen = forwarded.seen(head(FORWARDED, f"X-Forwarded-{field}"), PROXY, TRUSTED)
    assert seen.client_ip == ("203.0.113.9" if field.startswith("For") else PROXY)
    assert (told(seen)["x-forwarded-proto"], seen.host) == ("http", "h.example")


@pytest.mark.parametrize(
    "said", ["for=unknown", "for=_hidden", "for=", "by=198.51.100.7", 'for="', 'for="1.1.1.1, 2.2.2.2"']
)
def test_a_standard_field_that_tells_no_address_leaves_the_proxys(said: str) -> None:
    assert forwarded.seen(head(f"Forwarded: {said}"), PROXY, TRUSTED).client_ip == PROXY


def test_a_host_that_is_none_is_refused_in_the_standard_field_too() -> None:
    with pytest.raises(errors.BadRequest):
        forwarded.seen(head('Forwarded: host="a b"'), PROXY, TRUSTED)


def test_https_without_a_port_is_443() -> None:
    fields = told(forwarded.seen(head("X-Forwarded-Proto: https", host="h.example"), PROXY, TRUSTED))
    assert fields["x-forwarded-port"] == "443"


def test_a_host_of_a_proxy_that_is_none_is_refused() -> None:
    for host in (":80", "a b", "<x>", "h/x"):
        with pytest.raises(errors.BadRequest):
            forwarded.seen(head(f"X-Forwarded-Host: {host}"), PROXY, TRUSTED)


def test_the_prefix_that_a_path_lost_is_told_behind_the_one_that_a_proxy_took() -> None:
    assert told(forwarded.seen(head(), "1.1.1.1", (), "/fn/a"))["x-forwarded-prefix"] == "/fn/a"
    seen = forwarded.seen(head("X-Forwarded-Prefix: /app/"), PROXY, TRUSTED, "/fn/a")
    assert told(seen)["x-forwarded-prefix"] == "/app/fn/a"


def test_what_is_between_client_and_gateway_is_not_told() -> None:
    fields = ("Connection: keep-alive, X-Kept", "Keep-Alive: 5", "TE: trailers", "Upgrade: h2c", "X-Kept: 1")
    assert set(told(forwarded.seen(head(*fields), "", ()))) == {
        "host", "x-kept", "x-forwarded-proto", "x-forwarded-port",
    }  # fmt: skip


@pytest.mark.parametrize("listed", ["10.0.0.0/33", "nginx", "1.2.3", "10.0.0.0/8 fd00::/8", "*"])
def test_a_list_of_proxies_that_cannot_be_read_is_refused_with_its_name(listed: str) -> None:
    with pytest.raises(errors.BadRequest, match="trusted_proxies"):
        addresses.networks(listed, "trusted_proxies")


def test_an_address_with_host_bits_stands_for_its_network() -> None:
    assert addresses.is_within("10.1.2.3", addresses.networks("10.9.9.9/8,", "trusted_proxies"))
    assert addresses.is_within("::ffff:10.1.2.3", TRUSTED)
    assert not addresses.is_within("", TRUSTED)
