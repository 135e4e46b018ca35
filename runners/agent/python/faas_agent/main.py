"""The life of the agent: connect, say ready, load one revision, serve its attempts, exit when the socket closes."""

from __future__ import annotations

import importlib
import os
import select
import sys
import traceback

from . import imports, init, output
from .connection import Closed, Connection, decode_header


def main() -> None:
    """Run the agent for the folder with the socket that the command line names. Does not return."""
    init.stay_as_init()
    try:
        _run(sys.argv[1])
    except (Closed, ConnectionError):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the last resort: the log gets the reason, the runner sees the socket close
        traceback.print_exc()
        os._exit(70)


def _run(folder: str) -> None:
    connection = Connection.open(folder)
    out = output.Output()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    connection.send_descriptor({"t": "ready", "pid": os.getpid(), "python": version}, out.reading_end)
    os.close(out.reading_end)
    imports.warm_up(lambda: bool(select.select([connection], [], [], 0)[0]))
    serving = importlib.import_module("faas_agent.serving")
    server = serving.Server(connection, out, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    header, _body = connection.receive()
    server.load(decode_header(str(header, "utf-8")))
    server.serve()
    os._exit(0)
