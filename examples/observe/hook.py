"""Listens where the alarm of `charge` is posted to, and prints what comes."""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import time

import click

WITHIN_S = 300
"""A message that was signed longer ago is not believed."""


class Hook(http.server.BaseHTTPRequestHandler):
    """Prints the text of each message that is signed as it must be, and answers 204."""

    def do_POST(self) -> None:
        """One message."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        secret = os.environ.get("FAAS_DESTINATION_SECRET", "")
        if is_genuine(self.headers.get("Faas-Signature", ""), body, secret, time.time()):
            message = json.loads(body)
            click.echo(f"{message['kind']:<9} {message['text']}")
            self.send_response(204)
        else:
            click.echo("refused   a message that is not signed with FAAS_DESTINATION_SECRET")
            self.send_response(403)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def is_genuine(signature: str, body: bytes, secret: str, now_s: float) -> bool:
    """Whether a body was signed with the secret, lately: ``t=SECONDS,v1=HEX`` over seconds, a dot and the body."""
    signed_at, _, hex_digest = signature.removeprefix("t=").partition(",v1=")
    expected = hmac.new(secret.encode(), f"{signed_at}.".encode() + body, hashlib.sha256).hexdigest()
    is_lately = signed_at.isdecimal() and abs(now_s - int(signed_at)) <= WITHIN_S
    return bool(secret) and is_lately and hmac.compare_digest(expected, hex_digest)


@click.command()
@click.option("--port", default=9099, show_default=True)
def main(*, port: int) -> None:
    """Listen on the loopback until an interrupt."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook) as server:
        click.echo(f"listening at http://127.0.0.1:{server.server_port}/alarm")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("over")


if __name__ == "__main__":
    main()
