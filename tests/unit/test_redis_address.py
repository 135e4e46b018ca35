from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import redis.connection

from faas.core import errors
from faas.link import address
from tests import tls


def test_user_password_and_database_are_read_from_every_kind_of_url() -> None:
    found = address.parse("rediss://some%40one:p%2Fw@host.test:7/3?ssl_cert_reqs=none")
    assert (found.host, found.port, found.username, found.password, found.db) == ("host.test", 7, "some@one", "p/w", 3)
    assert found.tls == address.Tls(cert_reqs="none")
    assert address.parse("redis://host.test").tls is None
    assert address.parse("redis://:pw@host.test?db=2").db == 2
    local = address.parse("unix://user:pw@/run/my%20redis.sock?db=4")
    assert (local.path, local.username, local.password, local.db) == ("/run/my redis.sock", "user", "pw", 4)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:pw@host.test?username=no&password=no", "unix:///run/redis.sock?username=user&password=p%20w",
        "redis://host.test", "redis://host.test/", "redis://host.test/1", "redis://host.test/1/", "redis://host.test/%31",
        "redis://host.test?db=2", "redis://host.test/1?db=2", "redis://host.test/1?db=",
        "unix:///run/redis.sock", "unix:///run/redis.sock?db=4",
    ],
)  # fmt: skip
def test_the_link_reads_a_url_as_redis_py_does(url: str) -> None:
    found, other = address.parse(url), redis.connection.parse_url(url)
    assert found.db == other.get("db", 0)
    assert (found.username, found.password) == (other.get("username"), other.get("password"))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host.test",
        "user:secret@host.test:6379",
        "redis://user:secret@host.test:port",
        "redis://user:secret@host.test/secret",
        "redis://user:secret@[host.test",
        "rediss://user:secret@host.test?ssl_nothing=1",
        "rediss://user:secret@host.test?ssl_cert_reqs=secret",
        "redis://user:secret@host.test:99999",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(errors.BadRequest, match="the Redis URL cannot be used") as caught:
        address.parse(url)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


def test_an_address_shows_no_password() -> None:
    found = address.parse("rediss://user:secret@host.test")
    assert repr(found) == "Address(host.test:6379 (TLS))"


def test_certificates_are_asked_for_unless_the_url_says_no() -> None:
    made = address.context(address.Tls(ca_certs=str(tls.HERE / "ca.pem")))
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert address.context(address.Tls(cert_reqs="none")).verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("name", ["nowhere.pem", "no certificate"])
def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "no certificate").write_text("hello")
    with pytest.raises(errors.BadRequest, match=name):
        address.context(address.Tls(ca_certs=str(tmp_path / name)))
