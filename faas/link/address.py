"""Where a Redis listens and how it is spoken to, from its URL.

The link and redis-py read the same URL, so what stands in it means the same to both: the names of the query's fields
are redis-py's.
"""

from __future__ import annotations

import functools
import ssl
import urllib.parse
from collections.abc import Mapping

import msgspec

from faas.core import errors

_SCHEMES = ("redis", "rediss", "unix")
_TLS_FIELDS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
_REQUIRED = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
_PORT = 6379
_HINT = "redis://HOST:PORT/DB, rediss:// for TLS, or unix://PATH; see docs/how-to/redis-and-postgresql.md"


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificates are believed, and which one is shown. Empty paths are the system's own and none."""

    ca_certs: str = ""
    certfile: str = ""
    keyfile: str = ""
    cert_reqs: str = "required"
    check_hostname: bool = True


class Address(msgspec.Struct, frozen=True):
    """Where a Redis listens: a path, or a host and a port, with TLS if ``tls`` is there."""

    path: str | None
    host: str
    port: int
    username: str | None
    password: str | None
    db: int
    tls: Tls | None = None

    def __repr__(self) -> str:
        """Without the password, since it may come into a log."""
        return f"Address({self.shown})"

    @property
    def shown(self) -> str:
        """For people: no user name and no password."""
        return self.path or f"{self.host}:{self.port}{' (TLS)' if self.tls else ''}"


def parse(url: str) -> Address:
    """Read a Redis URL. Raises `errors.BadRequest`, which never says the password, for what is none."""
    try:
        parts = urllib.parse.urlsplit(url)
        fields = dict(urllib.parse.parse_qsl(parts.query))
        # As redis-py has it: the query may name both, which is usual with paths; what stands before the host wins.
        user = urllib.parse.unquote(parts.username) if parts.username else fields.get("username")
        password = urllib.parse.unquote(parts.password) if parts.password else fields.get("password")
        if parts.scheme not in _SCHEMES:
            raise _refused(f"its scheme is {parts.scheme[:20]!r}")
        # As redis-py has it, which uses the same URL: what the query says goes before what stands behind the host.
        behind_host = "" if parts.scheme == "unix" else urllib.parse.unquote(parts.path).replace("/", "")
        db = int(fields.pop("db", "") or behind_host or "0")
        if parts.scheme == "unix":
            return Address(urllib.parse.unquote(parts.path), "", 0, user, password, db)
        tls = _tls(fields) if parts.scheme == "rediss" else None
        return Address(None, parts.hostname or "localhost", parts.port or _PORT, user, password, db, tls)
    except ValueError as error:  # urllib's words may hold a part of the URL, and so of the password
        raise _refused("it has no host, port or database that can be read") from error


def context(tls: Tls) -> ssl.SSLContext:
    """What TLS is spoken with. Raises `errors.BadRequest` for certificate files that cannot be read."""
    try:
        return _context(tls)
    except OSError as error:  # ssl.SSLError is one, too
        files = ", ".join(file for file in (tls.ca_certs, tls.certfile, tls.keyfile) if file)
        raise _refused(f"{files or 'the certificates of the system'}: {error.strerror or error}") from error


@functools.lru_cache(maxsize=8)
def _context(tls: Tls) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=tls.ca_certs or None)
    # ssl refuses to check names where it need not see a certificate.
    made.check_hostname = tls.check_hostname and tls.cert_reqs == "required"
    made.verify_mode = _REQUIRED[tls.cert_reqs]
    if tls.certfile:
        made.load_cert_chain(tls.certfile, tls.keyfile or None)
    return made


def _tls(fields: Mapping[str, str]) -> Tls:
    # A misspelt name would be passed over otherwise, and with it a check of certificates.
    if unknown := sorted(name for name in fields if name.startswith("ssl_") and name not in _TLS_FIELDS):
        raise _refused(f"{unknown[0]} is not known; there are {', '.join(sorted(_TLS_FIELDS))}")
    reqs = fields.get("ssl_cert_reqs", "required")
    if reqs not in _REQUIRED:
        raise _refused(f"ssl_cert_reqs is one of {', '.join(_REQUIRED)}")
    return Tls(
        ca_certs=fields.get("ssl_ca_certs", ""),
        certfile=fields.get("ssl_certfile", ""),
        keyfile=fields.get("ssl_keyfile", ""),
        cert_reqs=reqs,
        check_hostname=fields.get("ssl_check_hostname", "true").lower() not in ("false", "no", "0", "f", "n"),
    )


def _refused(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"the Redis URL cannot be used: {why}", hint=_HINT)
