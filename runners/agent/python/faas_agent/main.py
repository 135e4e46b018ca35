"""The life of the agent: connect, say ready, load one revision, serve its attempts, exit when the socket closes."""

from __future__ import annotations

import errno
import importlib
import os
import select
import sys
import traceback

from . import imports, init, output
from .connection import Closed, Connection, read_header

_FAR = ("tcp:", "fd:")


def main() -> None:
    """Run the agent for the link that the command line names: a folder with a socket, or a far one. Does not return."""
    link = sys.argv[1]
    if not link.startswith(_FAR):
        init.stay_as_init()
    try:
        _run(_connected(link))
    except (Closed, ConnectionError):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the last resort: the log gets the reason, the runner sees the socket close
        traceback.print_exc()
        os._exit(70)


def _connected(link: str) -> Connection:
    if not link.startswith(_FAR):
        return Connection.open(link)
    relay = importlib.import_module("faas_agent.relay")
    return Connection.over(relay.stay(link))


def _run(connection: Connection) -> None:
    out = output.Output()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    ready = {"t": "ready", "pid": os.getpid(), "python": version, "objects": ["descriptor", "stream"]}
    try:
        connection.send_descriptor(ready, out.reading_end)
        os.close(out.reading_end)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Of a kernel of its own (gVisor) nothing that was made inside can leave: the runner makes the pipe.
        out.lead_to(connection.lent({**ready, "wants": "output"}))
    imports.warm_up(lambda: bool(select.select([connection], [], [], 0)[0]))
    serving = importlib.import_module("faas_agent.serving")
    server = serving.Server(connection, out, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    header, _body = connection.receive()
    server.load(read_header(header))
    server.serve()
    os._exit(0)
