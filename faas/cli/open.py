"""`faas open`: the page in a browser, by a link that logs in once."""

from __future__ import annotations

import ipaddress
import os
import sys
import urllib.parse
from collections.abc import Mapping

import click

from faas.cli import client, options, output
from faas.core import errors

_FORBIDDEN = frozenset("\\\r\n\t")


@click.command()
@click.argument("path", default="/")
@click.option("--print", "only_print", is_flag=True, help="Print the link, and open nothing.")
@options.json_option
def open_command(path: str, only_print: bool, as_json: bool) -> None:
    """Open the page in a browser, logged in, at PATH.

    The link is good for one login, within a minute. Where there is no browser it is printed: open it on your own
    machine, over a tunnel if need be. What logs in stands behind its `#`, which browsers send to nobody.

    \b
    faas open
    faas open /functions/hello
    ssh -L 8081:127.0.0.1:8081 server faas open --print
    """
    platform = client.connect()
    wanted = checked_path(path)
    offered = platform.send("POST", "/api/v1/login-codes").value
    address = link(platform.where.api, offered["code"], wanted)
    if as_json:
        output.emit({"url": address, "expires_at_ms": offered["expires_at_ms"]})
    elif only_print or not _opens(address):
        output.line(address)
        output.say("good for one login, within a minute")
    else:
        output.say(f"opened {reachable(platform.where.api)}{wanted} in your browser")


def checked_path(path: str) -> str:
    """A path of the page. Raises `errors.BadRequest` for what would lead elsewhere."""
    wanted = path if path.startswith("/") else f"/{path}"
    if wanted.startswith("//") or _FORBIDDEN.intersection(wanted):
        raise errors.BadRequest(f"{path[:100]!r} is no path of the page", hint="write it like /functions/hello")
    return wanted


def link(api: str, code: str, path: str) -> str:
    """The address that logs in and goes on to a path of the page."""
    return f"{reachable(api)}/login?{urllib.parse.urlencode({'to': path})}#{urllib.parse.urlencode({'code': code})}"


def reachable(api: str) -> str:
    """The API's URL as a browser on the same machine can open it: "all addresses" is none."""
    parts = urllib.parse.urlsplit(api)
    try:
        is_any = ipaddress.ip_address(parts.hostname or "").is_unspecified
    except ValueError:
        return api
    host = "[::1]" if ":" in (parts.hostname or "") else "127.0.0.1"
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{host}:{parts.port}")) if is_any else api


def has_screen(environ: Mapping[str, str], platform: str) -> bool:
    """Whether a browser with windows can show itself: one in a terminal runs no scripts."""
    return platform in ("darwin", "win32") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def _opens(address: str) -> bool:
    import webbrowser

    return has_screen(os.environ, sys.platform) and webbrowser.open(address)
