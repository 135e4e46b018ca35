"""Tries to reach something."""

import socket
import urllib.request


def handler(event, context):
    if event == "urllib":
        return urllib.request.urlopen("http://name.invalid/", timeout=5).status
    return socket.create_connection((event, 80), timeout=5)
